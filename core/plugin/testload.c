#include "plugin/testload.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/span.h"
#include "loop/child.h"

enum { OUTPUT_PER_FILE = 64 << 10 };

/* How far the child got with the file at hand. */
enum progress { WAITING, BEGUN, LOADED };

struct testload {
    struct loop *loop;
    int exe_fd, limit_ms; /* exe_fd is borrowed */
    char **argv;          /* owned: words of ours, the files, NULL */
    size_t own_words;
    size_t count, next; /* files; the first that was not reported */
    enum progress progress;
    struct child *child; /* NULL: none runs */
    size_t watched;      /* bytes of its output: the lines in which a new file could begin */
    json_t *schemas;     /* owned: component to steps; NULL: not known */
    testload_fn *fn;
    testload_done_fn *done;
    void *arg;
    bool *freed; /* set by testload_free() inside a callback */
};

enum { OWN_WORDS_MOST = 3 };

static void set_words(struct testload *testload, const struct testload_spec *spec) {
    char **word = testload->argv = xcalloc(OWN_WORDS_MOST + spec->count + 1, sizeof(*testload->argv));

    *word++ = xstrdup("theseus");
    *word++ = xstrdup("--test-load");
    if (spec->database)
        *word++ = xasprintf("--database=%s", spec->database);
    testload->own_words = (size_t)(word - testload->argv);
    for (size_t i = 0; i < spec->count; i++)
        *word++ = xstrdup(spec->files[i]);
}

struct testload *testload_free(struct testload *testload) {
    if (!testload)
        return NULL;
    if (testload->freed)
        *testload->freed = true;
    testload->child = child_free(testload->child);
    for (char **word = testload->argv; *word; word++)
        free(*word);
    free(testload->argv);
    json_decref(testload->schemas);
    free(testload);
    return NULL;
}

/* Reports the file at hand and goes on to the next. False: the object was freed meanwhile. */
static bool report(struct testload *testload, const char *name, const struct theseus_error *err) {
    bool freed = false;
    const char *file = testload->argv[testload->own_words + testload->next];

    testload->next++;
    testload->progress = WAITING;
    testload->freed = &freed;
    testload->fn(testload->arg, file, name, err);
    if (freed)
        return false;
    testload->freed = NULL;
    return true;
}

static bool report_answer(struct testload *testload, const json_t *line) {
    const char *name = json_string_value(json_object_get(line, "name"));
    const char *text = json_string_value(json_object_get(line, "error"));
    struct theseus_error err = {0};

    if (json_is_true(json_object_get(line, "ok")) && name)
        return report(testload, name, NULL);
    int code = (int)json_integer_value(json_object_get(line, "code"));
    (void)fail(&err, code > 0 ? (enum errc)code : ERR_INVALID, "%s", text ? text : "its test-load gave no reason");
    return report(testload, NULL, &err);
}

static bool read_line(struct testload *testload, struct span text) {
    json_auto_t *line = json_loadb(text.data, text.len, 0, NULL);

    if (testload->next == testload->count || !json_is_object(line))
        return true;
    if (json_object_get(line, "begin"))
        testload->progress = BEGUN;
    else if (json_object_get(line, "loaded"))
        testload->progress = LOADED;
    else if (json_object_get(line, "ok"))
        return report_answer(testload, line);
    return true;
}

/* Cuts a line, without its end, off the front. */
static bool next_line(struct span *output, struct span *ret_line) {
    const char *end = output->len ? memchr(output->data, '\n', output->len) : NULL;

    if (!end)
        return false;
    *ret_line = (struct span){output->data, (size_t)(end - output->data)};
    *output = (struct span){end + 1, output->len - ret_line->len - 1};
    return true;
}

/* It comes last, and is wanted for the answers before it. */
static void read_schemas(struct testload *testload, struct span output) {
    struct span text;

    while (next_line(&output, &text)) {
        json_auto_t *line = json_loadb(text.data, text.len, 0, NULL);
        json_t *schemas = json_object_get(line, "schemas");
        if (json_is_object(schemas) && !testload->schemas)
            testload->schemas = json_incref(schemas);
    }
}

static bool read_output(struct testload *testload, struct span output) {
    struct span line;

    read_schemas(testload, output);
    while (next_line(&output, &line))
        if (!read_line(testload, line))
            return false;
    return true;
}

/* While the child runs only its time is looked at; the answers are read at its end. */
static void on_output(void *arg, struct span output) {
    struct testload *testload = arg;
    struct span rest = {output.data + testload->watched, output.len - testload->watched}, text;

    loop_enter();
    while (next_line(&rest, &text)) {
        json_auto_t *line = json_loadb(text.data, text.len, 0, NULL);
        if (json_object_get(line, "begin"))
            child_restart_limit(testload->child);
    }
    testload->watched = output.len - rest.len;
}

/* Why a child did not come to its end, as a sentence about the file it had begun. */
static void blame(const struct testload *testload, const struct child_result *result, struct theseus_error *err) {
    const char *what =
        testload->progress == LOADED ? "a wrong pointer in its struct theseus_plugin" : "its constructor";
    int status = result->wait_status;
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

    if (result->timed_out)
        (void)fail(err, ERR_TIMEOUT, "did not load within %d ms; does a constructor of it wait?", testload->limit_ms);
    else if (WIFSIGNALED(status))
        (void)fail(err, ERR_INVALID, "%s crashed with %s%s", what, name ? "SIG" : "",
                   name ? name : "an unknown signal");
    else
        (void)fail(err, ERR_INVALID, "%s ended the process (exit status %d)", what, WEXITSTATUS(status));
}

static bool report_rest(struct testload *testload, const struct theseus_error *err) {
    while (testload->next < testload->count)
        if (!report(testload, NULL, err))
            return false;
    return true;
}

static int start_child(struct testload *testload, struct theseus_error *err) ON_LOOP;

/* With what the child left unfinished. False: the object was freed meanwhile. */
static bool go_on(struct testload *testload, const struct child_result *result) ON_LOOP;
static bool go_on(struct testload *testload, const struct child_result *result) {
    struct theseus_error err = {0};

    if (testload->next == testload->count)
        return true;
    if (testload->progress == WAITING && !result->timed_out) {
        /* It began nothing more, though there was more: another child would do no better. */
        (void)fail(&err, ERR_INTERNAL, "cannot be test-loaded: the child ended with wait status 0x%x",
                   result->wait_status);
        return report_rest(testload, &err);
    }
    blame(testload, result, &err);
    if (!report(testload, NULL, &err))
        return false;
    err = (struct theseus_error){0};
    if (testload->next < testload->count && start_child(testload, &err) < 0)
        return report_rest(testload, &err);
    return true;
}

static void on_child_ended(void *arg, const struct child_result *result) {
    struct testload *testload = arg;

    loop_enter();
    testload->child = child_free(testload->child);
    if (!read_output(testload, result->output) || !go_on(testload, result))
        return; /* freed by a callback */
    if (!testload->child)
        testload->done(testload->arg);
}

static int start_child(struct testload *testload, struct theseus_error *err) {
    CLEANUP(free) char **argv = xcalloc(testload->own_words + testload->count - testload->next + 1, sizeof(*argv));
    size_t count = 0;

    for (size_t i = 0; i < testload->own_words; i++)
        argv[count++] = testload->argv[i];
    for (size_t i = testload->next; i < testload->count; i++)
        argv[count++] = testload->argv[testload->own_words + i];
    const struct child_spec spec = {
        .exec_fd = testload->exe_fd,
        .path = "theseus --test-load",
        .argv = argv,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = STDERR_FILENO,
        .time_limit_ms = testload->limit_ms,
        .max_output = testload->count * OUTPUT_PER_FILE,
        .on_output = on_output,
    };
    testload->watched = 0;
    return child_start(&testload->child, testload->loop, &spec, on_child_ended, testload, err);
}

int testload_start(struct testload **ret_testload, struct loop *loop, const struct testload_spec *spec, testload_fn *fn,
                   testload_done_fn *done, void *arg, struct theseus_error *err) {
    CLEANUP(testload_free) struct testload *testload = xcalloc(1, sizeof(*testload));

    testload->loop = loop;
    testload->exe_fd = spec->exe_fd;
    testload->limit_ms = spec->limit_ms;
    set_words(testload, spec);
    testload->count = spec->count;
    testload->fn = fn;
    testload->done = done;
    testload->arg = arg;
    if (start_child(testload, err) < 0)
        return -1;
    *ret_testload = TAKE_PTR(testload);
    return 0;
}

int testload_schema(const struct testload *testload, const char *component) {
    return testload->schemas ? (int)json_integer_value(json_object_get(testload->schemas, component)) : -1;
}
