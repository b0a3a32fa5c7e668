/* The parent's half. What the child says is judged here; see preflight_main.c for its lines. */
#include "server/preflight.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "loop/child.h"
#include "rpc/jsontext.h"
#include "store/schema.h"

enum { OUTPUT_MAX = 1 << 20, LAST_WORDS_MAX = 120 };

struct preflight {
    struct child *child; /* owned */
    char digest[17];     /* of the ledger's copy, as we fold it */
    char *path;          /* owned: the candidate's, for messages */
    char *room;          /* owned: a directory; removed with us */
    int limit_ms;
    int words_fd; /* what it wrote to stderr */
    preflight_fn *done;
    void *arg;
};

/* What a child has said. */
struct account {
    json_t *report; /* owned; NULL: none */
    json_t *step;   /* owned: the last one that it has begun; NULL: none */
};

static void account_fini_cleanup(struct account *account) {
    json_decref(account->report);
    json_decref(account->step);
}

static void read_account(struct account *account, struct span output) {
    const char *end;

    while (output.len > 0 && (end = memchr(output.data, '\n', output.len))) {
        struct span text = {output.data, (size_t)(end - output.data)};
        json_t *line = jsontext_read(text, NULL);
        json_t **place = json_object_get(line, "begin") ? &account->step : &account->report;
        output = (struct span){end + 1, output.len - text.len - 1};
        if (!json_is_object(line)) {
            json_decref(line);
            continue;
        }
        json_decref(*place);
        *place = line;
    }
}

/* ---- judging ---- */

/* The last line of what it wrote to stderr, or nothing: ": …" for the end of a message. Owned. */
static char *last_words(const struct preflight *preflight) {
    char text[4096];
    off_t size = lseek(preflight->words_fd, 0, SEEK_END);
    off_t from = size > (off_t)sizeof(text) ? size - (off_t)sizeof(text) : 0;
    ssize_t len = size > 0 ? pread(preflight->words_fd, text, sizeof(text), from) : 0;

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    const char *line = len > 0 ? memrchr(text, '\n', (size_t)len) : NULL;
    line = line ? line + 1 : text;
    int count = (int)(len > 0 ? text + len - line : 0);
    return count > 0 ? xasprintf(": %.*s", count < LAST_WORDS_MAX ? count : LAST_WORDS_MAX, line) : xstrdup("");
}

/* It did not come to its end while it loaded a plugin. */
static int blame_plugin(const struct preflight *preflight, const char *name, const struct child_result *result,
                        struct theseus_error *err) {
    int status = result->wait_status;

    if (result->timed_out)
        return fail(err, ERR_TIMEOUT,
                    "plugin '%s' would be lost: it did not load within %d ms; does a constructor of it wait?", name,
                    preflight->limit_ms);
    if (WIFSIGNALED(status))
        return fail(err, ERR_INVALID, "plugin '%s' would be lost: it crashed with SIG%s when it was loaded", name,
                    sigabbrev_np(WTERMSIG(status)));
    return fail(err, ERR_INVALID, "plugin '%s' would be lost: it ended the process (exit status %d) when it was loaded",
                name, WEXITSTATUS(status));
}

/* There is no report. */
static int blame(const struct preflight *preflight, const json_t *step, const struct child_result *result,
                 struct theseus_error *err) {
    const char *plugin = json_string_value(json_object_get(step, "name"));
    CLEANUP(free) char *words = last_words(preflight);
    int status = result->wait_status;

    if (plugin)
        return blame_plugin(preflight, plugin, result, err);
    if (result->timed_out)
        return fail(err, ERR_TIMEOUT, "'%s' did not finish its examination within %d ms", preflight->path,
                    preflight->limit_ms);
    if (WIFSIGNALED(status))
        return fail(err, ERR_INVALID, "'%s' was ended by SIG%s during its examination%s", preflight->path,
                    sigabbrev_np(WTERMSIG(status)), words);
    if (WEXITSTATUS(status) != 0)
        return fail(err, ERR_INVALID, "'%s' left its examination with exit status %d%s", preflight->path,
                    WEXITSTATUS(status), words);
    return fail(err, ERR_INVALID, "'%s' gave no proof that it is a server that can go on from here", preflight->path);
}

/* A database that is ahead of it is ahead of us too, unless it is older than we are. */
static int judge_migrations(const struct preflight *preflight, const json_t *migrations, struct theseus_error *err) {
    json_int_t own = 0;
    json_t *row;
    size_t i;

    while (schema_core_steps[own])
        own++;
    json_array_foreach (migrations, i, row) {
        json_int_t known = json_integer_value(json_object_get(row, "known"));
        json_int_t pending = json_integer_value(json_object_get(row, "pending"));
        if (pending < 0 && known < own)
            return fail(err, ERR_NEWER, "'%s' is older than the database: that has %d steps, known to it are %d",
                        preflight->path, (int)(known - pending), (int)known);
    }
    return 0;
}

static int judge_report(const struct preflight *preflight, const json_t *report, struct theseus_error *err) {
    const char *error = json_string_value(json_object_get(report, "error"));
    const char *digest = json_string_value(json_object_get(report, "digest"));

    if (error)
        return fail(err, ERR_INVALID, "%s", error);
    if (!digest || !json_is_string(json_object_get(report, "version")))
        return fail(err, ERR_INVALID, "'%s' gave no proof that it is a server that can go on from here",
                    preflight->path);
    if (strcmp(digest, preflight->digest) != 0)
        return fail(err, ERR_INVALID, "'%s' reads the ledger differently (digest %.16s instead of %s)", preflight->path,
                    digest, preflight->digest);
    return judge_migrations(preflight, json_object_get(report, "migrations"), err);
}

/* What would be migrated; without those of which the database has more than is known. New reference. */
static json_t *migrations_new(const json_t *report) {
    json_t *rows = json_array(), *row;
    size_t i;

    json_array_foreach (json_object_get(report, "migrations"), i, row)
        if (json_integer_value(json_object_get(row, "pending")) > 0)
            (void)json_array_append(rows, row);
    return rows;
}

/* A report counts only from a child that also came to its end. */
static int judge(const struct preflight *preflight, const struct account *account, const struct child_result *result,
                 struct theseus_error *err) {
    const bool ended = !result->timed_out && WIFEXITED(result->wait_status);

    if (!account->report || !ended)
        return blame(preflight, account->report ? NULL : account->step, result, err);
    return judge_report(preflight, account->report, err);
}

/* What is known though the child did not come to its end: the plugin that is to blame. New reference. */
static json_t *lost_new(const json_t *step, const struct theseus_error *err) {
    json_t *name = json_object_get(step, "name");

    return name ? json_pack("[{s:O, s:s}]", "name", name, "error", err->message) : json_array();
}

static void clear_room(struct preflight *preflight) {
    if (preflight->words_fd >= 0)
        (void)close(preflight->words_fd);
    preflight->words_fd = -1;
    if (preflight->room)
        fs_remove_dir(preflight->room);
    free(TAKE_PTR(preflight->room));
}

static void on_ended(void *arg, const struct child_result *output) {
    CLEANUP(account_fini) struct account account = {0};
    struct preflight *preflight = arg;
    struct theseus_error err = {0};

    loop_enter();
    read_account(&account, output->output);
    int r = judge(preflight, &account, output, &err);
    clear_room(preflight); /* at once: whoever becomes the next image frees nothing */
    json_auto_t *migrations = migrations_new(account.report);
    json_auto_t *lost = account.report ? NULL : lost_new(account.step, &err);
    const struct preflight_result result = {
        .version = json_string_value(json_object_get(account.report, "version")),
        .plugins = lost ? lost : json_object_get(account.report, "plugins"),
        .migrations = migrations,
        .problems = json_object_get(account.report, "problems"),
    };
    preflight->done(preflight->arg, &result, r < 0 ? &err : NULL);
}

/* ---- starting ---- */

static int make_room(struct preflight *preflight, struct theseus_error *err) {
    const char *place = getenv("TMPDIR");
    CLEANUP(free) char *room = path_join(place && *place == '/' ? place : "/tmp", "theseus-preflight-XXXXXX");

    if (!mkdtemp(room))
        return fail_errno(err, "cannot make a temporary directory '%s'", room);
    preflight->room = TAKE_PTR(room);
    CLEANUP(free) char *words = path_join(preflight->room, "stderr");
    preflight->words_fd = open(words, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    return preflight->words_fd < 0 ? fail_errno(err, "cannot make '%s'", words) : 0;
}

/* The child's copy is another descriptor of the same file; we fold it before the child can touch it. */
static int copy_ledger(struct preflight *preflight, struct ledger *live, int *ret_fd, struct theseus_error *err) {
    CLEANUP(ledger_free) struct ledger *copy = NULL;
    CLEANUP(fd_close) int fd = -1;
    uint64_t digest;

    if (ledger_copy(live, &fd, err) < 0)
        return -1;
    CLEANUP(fd_close) int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return fail_errno(err, "cannot copy a descriptor");
    if (ledger_open(&copy, own, err) < 0)
        return -1;
    own = -1;
    ledger_digest(copy, &digest);
    (void)snprintf(preflight->digest, sizeof(preflight->digest), "%016" PRIx64, digest);
    *ret_fd = fd_take(&fd);
    return 0;
}

/* The server's own words behind ours. Owned array of borrowed texts. */
static const char **arguments_new(const struct preflight *preflight, char *const *argv) {
    size_t count = 0;

    while (argv[count])
        count++;
    const char **arguments = xcalloc(count + 4, sizeof(char *));
    arguments[0] = argv[0] ? argv[0] : preflight->path;
    arguments[1] = "--preflight";
    arguments[2] = preflight->room;
    for (size_t i = 1; i < count; i++)
        arguments[i + 2] = argv[i];
    return arguments;
}

static int start_child(struct preflight *preflight, struct loop *loop, const struct preflight_spec *spec,
                       struct theseus_error *err) ON_LOOP;
static int start_child(struct preflight *preflight, struct loop *loop, const struct preflight_spec *spec,
                       struct theseus_error *err) {
    CLEANUP(free) const char **arguments = arguments_new(preflight, spec->argv);
    CLEANUP(fd_close) int ledger_fd = -1;
    struct child_spec child = {CHILD_SPEC_DEFAULTS, .path = preflight->path, .argv = (char *const *)arguments,
                               .time_limit_ms = spec->limit_ms, .max_output = OUTPUT_MAX};

    if (copy_ledger(preflight, spec->ledger, &ledger_fd, err) < 0)
        return -1;
    child.exec_fd = spec->binary->fd;
    child.stdin_fd = ledger_fd;
    child.stderr_fd = preflight->words_fd;
    return child_start(&preflight->child, loop, &child, on_ended, preflight, err);
}

int preflight_start(struct preflight **ret_preflight, struct loop *loop, const struct preflight_spec *spec,
                    preflight_fn *done, void *arg, struct theseus_error *err) {
    CLEANUP(preflight_free) struct preflight *preflight = xcalloc(1, sizeof(*preflight));

    *preflight = (struct preflight){
        .path = xstrdup(spec->binary->path), .limit_ms = spec->limit_ms, .words_fd = -1, .done = done, .arg = arg};
    if (make_room(preflight, err) < 0 || start_child(preflight, loop, spec, err) < 0)
        return -1;
    *ret_preflight = TAKE_PTR(preflight);
    return 0;
}

struct preflight *preflight_free(struct preflight *preflight) {
    if (!preflight)
        return NULL;
    preflight->child = child_free(preflight->child);
    clear_room(preflight);
    free(preflight->path);
    free(preflight);
    return NULL;
}
