/*
 * Does to the process what is not a plugin's to do, and does not crash for it: a tool for each, in a call on a worker,
 * or on the loop's thread where it is called inline_WHAT. {"where": "thread"} does it on a thread of the plugin's own
 * while the call waits. Its setting `at_start` does it in start().
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include <theseus/plugin.h>

typedef void what_fn(void);

static void *volatile nowhere;

static void do_exit(void) {
    exit(3);
}

static void do_quick(void) {
    quick_exit(3);
}

static void do_thread_exit(void) {
    pthread_exit(NULL);
}

static void do_cancel(void) {
    (void)pthread_cancel(pthread_self());
    pthread_testcancel();
}

static void do_close(void) {
    for (int fd = 3; fd < 1024; fd++)
        (void)close(fd);
}

static void do_default(void) {
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGABRT, SIG_DFL);
}

static void do_ignore(void) {
    (void)signal(SIGSEGV, SIG_IGN);
}

static void on_signal(int signum) {
    _exit(128 + signum);
}

static void do_handle(void) {
    (void)signal(SIGSEGV, on_signal);
}

static void do_pipe(void) {
    (void)signal(SIGPIPE, SIG_DFL);
}

static void do_block(void) {
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static char small[64 << 10];

static void do_stack(void) {
    (void)sigaltstack(&(stack_t){.ss_sp = small, .ss_size = sizeof(small)}, NULL);
}

static void do_no_stack(void) {
    (void)sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
}

static void do_crash(void) {
    *(volatile int *)nowhere = 1;
}

static volatile int deep = 1;

static int fall(int from) {
    volatile char frame[4096];

    frame[0] = (char)from;
    return deep ? fall(from + 1) + frame[0] : frame[0];
}

static void do_overflow(void) {
    deep = fall(0);
}

#define WHATS(X)   \
    X(exit)        \
    X(quick)       \
    X(thread_exit) \
    X(cancel) X(close) X(default) X(ignore) X(handle) X(pipe) X(block) X(stack) X(no_stack) X(crash) X(overflow)

static const struct what {
    const char *name;
    what_fn *fn;
} whats[] = {
#define WHAT(what) {#what, do_##what},
    WHATS(WHAT){0}};

static void run(void *arg) {
    const struct what *what = arg;

    what->fn();
}

static int meddle(struct theseus_call *call, void *self, const json_t *args) {
    const struct what *what = whats;
    const char *name = strchr(theseus_tool_name(call), '_') + 1;
    const char *where = json_string_value(json_object_get(args, "where"));

    while (what->name && strcmp(what->name, name) != 0)
        what++;
    if (where && strcmp(where, "thread") == 0)
        return theseus_thread(self, run, (void *)(uintptr_t)what) < 0 ? theseus_reply_error(call, "no thread")
                                                                      : THESEUS_LATER;
    what->fn();
    return theseus_reply_text(call, "done");
}

/* A child that ends as a program does, which is its own affair. */
static int forks(struct theseus_call *call, void *self, const json_t *args) {
    const char *how = json_string_value(json_object_get(args, "where"));
    pid_t pid = fork();

    (void)self;
    if (pid == 0 && how && strcmp(how, "thread") == 0)
        pthread_exit(NULL);
    if (pid == 0 && how)
        exit(7);
    while (pid == 0)
        (void)pause();
    return theseus_reply_text(call, "%ld", (long)pid);
}

/* A database of its own, which is none. */
static int reads(struct theseus_call *call, void *self, const json_t *args) {
    sqlite3 *own = NULL, *db = theseus_db(self);

    if (!db)
        return theseus_reply_error(call, "no database");
    (void)sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    (void)sqlite3_open(json_string_value(json_object_get(args, "file")), &own);
    int r = sqlite3_exec(own, "SELECT count(*) FROM t", NULL, NULL, NULL);
    (void)sqlite3_close(own);
    return theseus_reply_text(call, "%d", r);
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    const char *at_start = json_string_value(json_object_get(theseus_config(ctx), "at_start"));

    (void)err;
    for (const struct what *what = whats; at_start && what->name; what++)
        if (strcmp(what->name, at_start) == 0)
            what->fn();
    *ret_self = ctx;
    return 0;
}

#define ARGUMENTS "{\"type\":\"object\",\"properties\":{\"where\":{\"enum\":[\"here\",\"thread\"]}}}"

static const struct theseus_tool tools[] = {
#define TOOLS(what)                                                   \
    {.name = "do_" #what, .input_schema = ARGUMENTS, .call = meddle}, \
        {.name = "inline_" #what, .input_schema = ARGUMENTS, .flags = THESEUS_INLINE, .call = meddle},
    WHATS(TOOLS){.name = "forks", .input_schema = ARGUMENTS, .call = forks},
    {.name = "reads",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"file\":{\"type\":\"string\"}}}",
     .call = reads},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "meddles",
    .version = "1.0",
    .config_schema = "{\"type\":\"object\",\"properties\":{\"at_start\":{\"type\":\"string\"}}}",
    .start = start,
    .tools = tools,
};
