#include "script.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

enum { SCRIPT_BYTES = 4 << 20 };

static const struct {
    const char *mark;
    enum step_kind kind;
} marks[] = {
    {">", STEP_SEND},   {"=", STEP_RAW},    {"<!", STEP_NEVER},
    {"<?", STEP_MAYBE}, {"<", STEP_EXPECT}, {"@", STEP_DIRECTIVE},
};

const char *script_behind(const char *text, const char *word) {
    size_t len = strlen(word);

    if (strncmp(text, word, len) != 0 || (text[len] != '\0' && text[len] != ' '))
        return NULL;
    return text + len + strspn(text + len, " ");
}

static int add_step(struct script *script, int line, const char *text, struct theseus_error *err) {
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        const char *rest = script_behind(text, marks[i].mark);
        if (!rest)
            continue;
        script->steps = xreallocarray(script->steps, script->count + 1, sizeof(struct step));
        script->steps[script->count++] = (struct step){marks[i].kind, line, xstrdup(rest)};
        return 0;
    }
    return fail(err, ERR_INVALID, "%s:%d: a line must begin with '>', '=', '<', '<!', '<?', '@' or '#' and a blank",
                script->path, line);
}

static int add_lines(struct script *script, char *text, struct theseus_error *err) {
    char *next = text;

    for (int line = 1; next; line++) {
        char *here = strsep(&next, "\n");
        if (*here != '\0' && *here != '#' && add_step(script, line, here, err) < 0)
            return -1;
    }
    return 0;
}

int script_read(struct script **ret_script, const char *path, struct theseus_error *err) {
    CLEANUP(script_free) struct script *script = xcalloc(1, sizeof(*script));
    CLEANUP(buf_fini) struct buf content = {0};

    script->path = xstrdup(path);
    if (fs_read_file(path, SCRIPT_BYTES, &content, err) < 0)
        return -1;
    CLEANUP(free) char *text = buf_take_string(&content);
    if (!text)
        return fail(err, ERR_MEMORY, "no memory for '%s'", path);
    if (add_lines(script, text, err) < 0)
        return -1;
    *ret_script = TAKE_PTR(script);
    return 0;
}

struct script *script_free(struct script *script) {
    if (!script)
        return NULL;
    for (size_t i = 0; i < script->count; i++)
        free(script->steps[i].text);
    free(script->steps);
    free(script->path);
    free(script);
    return NULL;
}
