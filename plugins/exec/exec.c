/* clang-format off */
/*
 * Tools without C: each section [tool:NAME] of the configuration is a tool that runs a program.
 *
 *     [tool:search]
 *     description = Search the project's files for a pattern.
 *     command     = grep -rn --include={files} -- {pattern} .
 *     input.pattern = string: what to look for, a basic regular expression
 *     input.files   = string = "*.c": which files, as a wildcard
 *     read_only   = yes
 *
 * Keys. Only `command` is mandatory; unknown ones are refused.
 *
 *     command      words, split once, when the configuration is read; there never is a shell. Blanks and line ends
 *                  separate words. '…' is literal throughout; in "…" a backslash makes $ ` " \ literal and joins lines;
 *                  outside it makes any character literal. $ * ? ~ ( ) and the like are ordinary characters. Words that
 *                  only a shell could obey, such as | or >, are refused: quote them, or run sh -c '…' yourself.
 *                  {NAME}, outside '…', is a placeholder; {{ is a brace; } needs nothing. The first word, and the
 *                  script of sh -c, may not hold one.
 *     input.NAME   TYPE { , MODIFIER } [ = DEFAULT ] [ : DESCRIPTION ]
 *                  TYPE      string | number | integer | boolean | enum(a|b|…) | array (of strings)
 *                  MODIFIER  optional: may be left out; dash: may begin with '-'
 *                  DEFAULT   "text", or text up to a colon that a blank or the end follows; makes it optional
 *                  NAME is a letter or _, then letters, digits, _ and -. An input that no placeholder names is refused.
 *     stdin        what the program reads: text with placeholders. None, or empty: /dev/null
 *     env.NAME     a variable; the others are PATH, HOME and LANG of the server. No placeholders: it may be a secret
 *     cwd          an absolute directory, or ~/…; else the caller's
 *     timeout      seconds; else the server's limit
 *     max_output   bytes of stdout that are kept, half of them from its beginning, half from its end: 64K
 *     read_only    yes: it changes nothing, and may be run twice
 *     title, description
 *
 * A placeholder that is a whole word becomes exactly one argument, whatever is in it; an array as many as it has
 * elements, and it must be a whole word. Otherwise the value replaces the placeholder inside the word. A word with a
 * placeholder that has no value is left out. A boolean becomes true or false. A value that begins with '-' is refused
 * unless it stands behind the word -- or its input is declared `dash`.
 *
 * The answer is what the program printed on stdout; if it failed, the exit status or signal, the end of stderr, and
 * stdout, as an error. Bytes that are not UTF-8, and NUL, become U+FFFD. While it runs, progress is the number of bytes
 * printed and the newest line. Its process group is ended with SIGTERM, and SIGKILL 500 ms later, on a time-out or a
 * cancellation, or when a descendant holds its pipes for 200 ms longer than it lived; a descendant that let go of them
 * lives on.
 *
 * Invariant: each offered tool holds a reference to its section, and a call works with the section of the tool that was
 * called: the one whose schema its arguments have passed. A new configuration does not reach into it.
 */
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "run.h"

/* The sections in force. */
struct sections {
    struct section **items; /* a reference each */
    size_t count;
};

/* `sections` is read and exchanged by `start`, `configure` and `stop` alone, which come one at a time. */
struct exec {
    struct theseus_ctx *ctx;
    struct sections sections;
};

static void sections_fini(struct sections *sections) {
    for (size_t i = 0; i < sections->count; i++)
        section_unref(sections->items[i]);
    free(sections->items);
    *sections = (struct sections){0};
}

static struct section *sections_find(const struct sections *sections, const char *name) {
    for (size_t i = 0; i < sections->count; i++)
        if (strcmp(sections->items[i]->name, name) == 0)
            return sections->items[i];
    return NULL;
}

/* Reads all of them. Those that `old` has just so are shared with it, which is how one sees that they did not change.
 */
static int sections_read(struct sections *sections, const json_t *config, const struct sections *old,
                         struct theseus_error *err) {
    json_t *tools = json_object_get(config, "tool"), *source;
    const char *name;

    json_object_foreach (tools, name, source) {
        struct section *section = sections_find(old, name);
        if (section && json_equal(section->source, source))
            section = section_ref(section);
        else if (section_new(&section, name, source, err) < 0)
            return -1;
        sections->items = memory_grown(sections->items, sections->count, sizeof(struct section *));
        sections->items[sections->count++] = section;
    }
    return 0;
}

static int exec_call(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return run_tool(call, theseus_tool_data(call), args);
}

static void release_section(void *data) {
    section_unref(data);
}

static int add_tool(struct exec *exec, struct section *section, struct theseus_error *err) {
    struct theseus_tool tool = {
        .name = section->name,
        .title = section->title,
        .description = section->description,
        .input_schema = section->schema,
        .flags = section->flags,
        .call = exec_call,
        /* A second more than the program has: then it is we who answer, with what it printed. */
        .timeout = section->timeout ? section->timeout + 1 : 0,
        .data = section_ref(section),
        .release = release_section,
    };

    if (theseus_tool_add(exec->ctx, &tool) == 0)
        return 0;
    section_unref(section);
    return theseus_fail(err, "[tool:%s] %.150s", section->name, theseus_last_error(exec->ctx->host));
}

static bool is_in(const struct sections *sections, const struct section *section) {
    return sections_find(sections, section->name) == section;
}

/* Tells the host the difference, which it takes as a whole: should something be refused, then nothing has changed. */
static int offer(struct exec *exec, const struct sections *old, const struct sections *new, struct theseus_error *err) {
    for (size_t i = 0; i < old->count; i++) {
        const struct section *section = old->items[i];
        if (!is_in(new, section) && theseus_tool_remove(exec->ctx, section->name) < 0)
            return theseus_fail(err, "[tool:%s] %.150s", section->name, theseus_last_error(exec->ctx->host));
    }
    for (size_t i = 0; i < new->count; i++)
        if (!is_in(old, new->items[i]) && add_tool(exec, new->items[i], err) < 0)
            return -1;
    return 0;
}

static int exec_configure(void *self, const json_t *config, struct theseus_error *err) {
    struct exec *exec = self;
    struct sections next = {0};

    if (sections_read(&next, config, &exec->sections, err) < 0 || offer(exec, &exec->sections, &next, err) < 0) {
        sections_fini(&next);
        return -1;
    }
    sections_fini(&exec->sections);
    exec->sections = next;
    return 0;
}

static int exec_check(void *self, const json_t *config, struct theseus_error *err) {
    struct sections read = {0}, none = {0};

    (void)self;
    int r = sections_read(&read, config, &none, err);
    sections_fini(&read);
    return r;
}

static void exec_stop(void *self) {
    struct exec *exec = self;

    sections_fini(&exec->sections);
    free(exec);
}

static int exec_start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    struct exec *exec = calloc(1, sizeof(*exec));

    if (!exec)
        return theseus_fail(err, "no memory");
    exec->ctx = ctx;
    if (exec_configure(exec, theseus_config(ctx), err) < 0) {
        exec_stop(exec);
        return -1;
    }
    *ret_self = exec;
    return 0;
}

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "exec",
    .version = "1.0.0",
    .description = "Makes a tool of each [tool:NAME] section: a program, its inputs, what it prints.",
    .sections = "tool",
    .start = exec_start,
    .check = exec_check,
    .configure = exec_configure,
    .stop = exec_stop,
};
