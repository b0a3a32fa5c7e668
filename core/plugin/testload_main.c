/* The child's half of the test-load: see testload.h. A crash of it is an answer. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jansson.h>
#include <theseus/plugin.h>

#include "base/fs.h"
#include "plugin/contract.h"
#include "plugin/image.h"
#include "plugin/testload.h"

/* The answer's own descriptor: what plugins print must not come between, and goes where errors go. */
static int claim_stdout(void) {
    int out = dup(STDOUT_FILENO);

    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return -1;
    return out;
}

/* To be killed by a signal is the answer that a crash should give: no handler, no core file. */
static void crash_plainly(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    const struct rlimit none = {0};

    (void)setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)signal(signals[i], SIG_DFL);
}

/*
 * A constructor may hang, and the server that would end it for that may die before. (Has it died already? Then the
 * first line that is said finds nobody.)
 */
static void die_with_parent(void) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Written at once: the next thing that happens may be a crash. Steals `line`. */
static void say(int out, json_t *line) {
    json_auto_t *owned = line;
    CLEANUP(free) char *text = json_dumps(owned, JSON_COMPACT);

    if (!text || dprintf(out, "%s\n", text) < 0)
        _exit(EXIT_FAILURE);
}

/* Paths, and messages with paths in them, may hold any bytes; the reader goes by the order of the lines. */
static json_t *text_new(const char *bytes, const char *otherwise) {
    json_t *text = json_string(bytes);

    return text ? text : json_string(otherwise);
}

static json_t *path_new(const char *file) {
    return text_new(file, "(not UTF-8)");
}

static int check_file(int out, struct image **ret_image, const char *file, struct theseus_error *err) {
    CLEANUP(image_free) struct image *image = NULL;
    struct tool **tools;
    size_t count;

    if (image_adopt(&image, file, file, NULL, err) < 0)
        return -1;
    image_keep_file(image);
    if (image_load(image, err) < 0)
        return -1;
    say(out, json_pack("{s:o, s:b}", "file", path_new(file), "loaded", 1));
    if (contract_check(image_plugin(image), &tools, &count, err) < 0)
        return -1;
    contract_tools_free(tools, count);
    *ret_image = TAKE_PTR(image);
    return 0;
}

static void test_file(int out, const char *file) {
    struct image *image = NULL; /* stays loaded: destructors are not what is tested */
    struct theseus_error err = {0};

    say(out, json_pack("{s:o, s:b}", "file", path_new(file), "begin", 1));
    if (check_file(out, &image, file, &err) < 0) {
        say(out, json_pack("{s:o, s:b, s:i, s:o}", "file", path_new(file), "ok", 0, "code", err.code, "error",
                           json_string(err.message)));
        return;
    }
    const struct theseus_plugin *plugin = image_plugin(image);
    say(out, json_pack("{s:o, s:b, s:s, s:s}", "file", path_new(file), "ok", 1, "name", plugin->name, "version",
                       plugin->version));
}

int testload_main(int count, char *const *files) {
    int out = claim_stdout();

    crash_plainly();
    die_with_parent();
    for (int i = 0; i < count && out >= 0; i++)
        test_file(out, files[i]);
    _exit(out < 0 ? EXIT_FAILURE : EXIT_SUCCESS); /* destructors of plugins do not run */
}
