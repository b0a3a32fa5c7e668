/* Values that stand for a secret somewhere else. No message here holds more than the reference. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/limits.h"
#include "config/config.h"
#include "config/trusted.h"

static const char *behind(const char *text, const char *prefix) {
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

bool config_is_secret_ref(const char *value) {
    return behind(value, "env:") || behind(value, "file:");
}

static bool is_text(struct span text) {
    json_auto_t *string = json_stringn(text.data, text.len); /* refuses what is not UTF-8 */

    return string && (text.len == 0 || !memchr(text.data, '\0', text.len));
}

static struct span without_newline(struct span text) {
    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len -= text.len > 1 && text.data[text.len - 2] == '\r' ? 2 : 1;
    return text;
}

static int from_environment(const char *name, char **ret_value, struct theseus_error *err) {
    const char *value = getenv(name);

    if (!value)
        return fail(err, ERR_MISSING, "the environment variable '%s' is not set", name);
    if (!is_text(span_of(value)))
        return fail(err, ERR_INVALID, "the environment variable '%s' does not hold a text in UTF-8", name);
    *ret_value = xstrdup(value);
    return 0;
}

static int from_file(const char *name, const char *base_dir, char **ret_value, struct theseus_error *err) {
    CLEANUP(free) char *path = path_absolute(base_dir, name);
    CLEANUP(buf_fini) struct buf content = {0};
    int r = trusted_read(path, TRUSTED_SECRET, LIMIT_CONFIG_LINE, &content, err);

    if (r == TRUSTED_MISSING)
        return fail(err, ERR_MISSING, "the file '%s' does not exist", path);
    if (r < 0)
        return -1;
    struct span text = without_newline(buf_span(&content));
    if (!is_text(text))
        return fail(err, ERR_INVALID, "'%s' does not hold a text in UTF-8", path);
    *ret_value = xstrndup(text.data, text.len);
    return 0;
}

int config_resolve_secret(const char *value, const char *base_dir, char **ret_value, struct theseus_error *err) {
    const char *name = behind(value, "env:");

    if (name)
        return from_environment(name, ret_value, err);
    name = behind(value, "file:");
    if (!name || !*name)
        return fail(err, ERR_INVALID, "a secret is written as env:NAME or file:PATH");
    return from_file(name, base_dir, ret_value, err);
}
