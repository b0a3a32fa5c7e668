#include "names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int append_value(const json_t *names, struct span name, struct buf *out, struct theseus_error *err) {
    CLEANUP(free) char *key = xstrndup(name.data, name.len);
    const char *value = json_string_value(json_object_get(names, key));

    if (!value)
        return fail(err, ERR_MISSING, "nothing has the name '%s'", key);
    return buf_append(out, span_of(value), err);
}

int names_expand(const json_t *names, const char *text, char **ret_text, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf out = {0};

    for (const char *mark; (mark = strstr(text, "${")); text = strchr(mark, '}') + 1) {
        size_t len = strcspn(mark + 2, "}");
        if (mark[2 + len] == '\0')
            return fail(err, ERR_INVALID, "a '${' has no '}'");
        if (buf_append(&out, (struct span){text, (size_t)(mark - text)}, err) < 0 ||
            append_value(names, (struct span){mark + 2, len}, &out, err) < 0)
            return -1;
    }
    if (buf_append(&out, span_of(text), err) < 0)
        return -1;
    *ret_text = buf_take_string(&out);
    return *ret_text ? 0 : fail(err, ERR_MEMORY, "no memory for a line");
}

static int hex_byte(const char *text) {
    char digits[3] = {text[0], text[0] ? text[1] : '\0', '\0'};

    if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]))
        return -1;
    return (int)strtol(digits, NULL, 16);
}

/* The byte that stands behind a backslash at `*text`, which moves on; -1: there is no such escape. */
static int escaped(const char **text) {
    static const char from[] = "nrt\\0", to[] = "\n\r\t\\";
    const char *found = **text ? strchr(from, **text) : NULL;
    int byte = found ? (unsigned char)to[found - from] : -1;

    if (**text == 'x') {
        byte = hex_byte(*text + 1);
        *text += 2;
    }
    if (byte >= 0)
        (*text)++;
    return byte;
}

int names_unescape(const char *text, struct buf *ret_bytes, struct theseus_error *err) {
    while (*text) {
        char byte = *text++;
        if (byte == '\\') {
            int value = escaped(&text);
            if (value < 0)
                return fail(err, ERR_INVALID, "an unknown escape before '%s'", text);
            byte = (char)value;
        }
        if (buf_append(ret_bytes, (struct span){&byte, 1}, err) < 0)
            return -1;
    }
    return 0;
}
