/*
 * A tool for each way to die: `die_WAY` on the worker, `inline_WAY` on the loop thread. {"where": "thread"} lets a
 * thread of the plugin's own die while the call waits for its answer. {"ms": N} takes its time before,
 * {"until": FILE} waits for that file. A call that waits says so as its progress.
 */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <theseus/plugin.h>

/* What the compiler must not see through. */
static void *volatile nowhere;
static volatile int zero;
static volatile int deep = 1;

typedef void way_fn(void);

/* Each byte of it, whatever nobody reads afterwards. */
static void fill(volatile char *from, size_t len) {
    for (size_t i = 0; i < len; i++)
        from[i] = 0x7f;
}

static void by_null(void) {
    *(volatile int *)nowhere = 1;
}

/* A page of a mapped file that the file does not reach. */
static void by_bus(void) {
    int fd = memfd_create("dies", MFD_CLOEXEC);
    volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    *page = 1;
}

static void by_fpe(void) {
#if defined(__x86_64__)
    zero = 1000 / zero;
#else
    (void)raise(SIGFPE); /* a division by zero has a result there */
#endif
}

static void by_ill(void) {
    __builtin_trap();
}

static void by_abort(void) {
    abort();
}

static void by_smash(void) {
    char small[8];
    char *volatile end = small;

    fill(end, 256);
}

static int fall(int from) {
    volatile char frame[4096];

    frame[0] = (char)from;
    return deep ? fall(from + 1) + frame[0] : frame[0];
}

static void by_overflow(void) {
    zero = fall(0);
}

static void by_free(void) {
    void *volatile twice = malloc(24);

    free(twice);
    free(twice);
}

static void by_jump(void) {
    ((way_fn *)nowhere)();
}

enum { CHUNK = 3000, CHUNKS = 1000 }; /* too large for what malloc() keeps for each thread */

/* free() finds that what lies behind is not what it was, and aborts inside malloc()'s lock. */
static void by_heap(void) {
    char *volatile chunk = malloc(CHUNK);

    fill(chunk, CHUNK + 64);
    free(chunk);
}

/* What the compiler must not know either. */
static void (*volatile forget)(void *) = free;

/* malloc() itself follows a pointer to nowhere, inside its lock: a free chunk between two others, whose link was
 * changed. */
static void by_malloc(void) {
    char *chunks[CHUNKS] = {malloc(CHUNK), malloc(CHUNK)};

    for (int i = 2; i < CHUNKS; i++) {
        chunks[i] = malloc(CHUNK);
        void *volatile *middle = (void *)chunks[i - 1];
        if (chunks[i] - chunks[i - 1] != chunks[i - 1] - chunks[i - 2] || chunks[i] - chunks[i - 1] > 2 * CHUNK)
            continue;
        forget((void *)middle);
        middle[1] = (void *)(uintptr_t)64;
        nowhere = malloc(4 * CHUNK);
    }
}

/* The stack is nowhere, too: whoever looks at it crashes again. */
static void by_lost(void) {
#if defined(__x86_64__)
    __asm__ volatile("mov $8, %rsp\n\tmov $8, %rbp\n\tud2");
#else
    __builtin_trap();
#endif
}

/* Fails when the system has sent it, as somebody who kills would. */
static void by_signal(void) {
    (void)raise(SIGSEGV);
}

static void wait_ms(json_int_t ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

struct death {
    way_fn *way;
    json_int_t ms;
    char *until; /* NULL: it waits for nothing */
};

static void wait_for(const struct death *death) {
    wait_ms(death->ms);
    while (death->until && access(death->until, F_OK) < 0)
        wait_ms(1);
}

static void run_way(void *arg) {
    struct death death = *(struct death *)arg;

    free(arg);
    wait_for(&death);
    death.way();
}

static int die_on_thread(struct theseus_call *call, struct theseus_ctx *ctx, const struct death *death) {
    struct death *copy = malloc(sizeof(*copy));

    *copy = *death;
    if (death->until)
        copy->until = strdup(death->until); /* it outlives the arguments, and is freed by nobody */
    return theseus_thread(ctx, run_way, copy) < 0 ? theseus_reply_error(call, "no thread") : THESEUS_LATER;
}

static int die(struct theseus_call *call, void *self, const json_t *args) {
    const struct death death = {*(way_fn **)theseus_tool_data(call), json_integer_value(json_object_get(args, "ms")),
                                (char *)json_string_value(json_object_get(args, "until"))};
    const char *where = json_string_value(json_object_get(args, "where"));

    theseus_progress(call, 1, 1, "waiting");
    if (where && strcmp(where, "thread") == 0)
        return die_on_thread(call, self, &death);
    if (where && strcmp(where, "answered") == 0)
        theseus_reply_text(call, "answered");
    wait_for(&death);
    death.way();
    return theseus_reply_text(call, "it lives");
}

/* A child that was forked dies, and nobody else. */
static int die_forked(struct theseus_call *call, void *self, const json_t *args) {
    pid_t pid = fork();
    int status = 0;

    (void)self;
    (void)args;
    if (pid == 0) {
        by_null();
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return theseus_reply_error(call, "no child");
    return theseus_reply_text(call, "%s", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it has lived");
}

static int wait_for_ever(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    theseus_progress(call, 1, 1, "waiting");
    return THESEUS_LATER;
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

#define ARGUMENTS                                                                                   \
    "{\"type\":\"object\",\"properties\":{\"where\":{\"enum\":[\"here\",\"thread\",\"answered\"]}," \
    "\"ms\":{\"type\":\"integer\"},\"until\":{\"type\":\"string\"}}}"

#define WAYS(X) \
    X(null) X(bus) X(fpe) X(ill) X(abort) X(smash) X(overflow) X(free) X(jump) X(heap) X(malloc) X(lost) X(signal)

#define WAY(way) static way_fn *way_##way = by_##way;
WAYS(WAY)

#define TOOLS(way)                                                                     \
    {.name = "die_" #way, .input_schema = ARGUMENTS, .call = die, .data = &way_##way}, \
        {.name = "inline_" #way, .input_schema = ARGUMENTS, .flags = THESEUS_INLINE, .call = die, .data = &way_##way},

static const struct theseus_tool tools[] = {
    WAYS(TOOLS){.name = "die_structured",
                .output_schema = "{\"type\":\"object\"}",
                .input_schema = ARGUMENTS,
                .call = die,
                .data = &way_null},
    {.name = "die_forked", .call = die_forked},
    {.name = "die_again", .flags = THESEUS_IDEMPOTENT, .input_schema = ARGUMENTS, .call = die, .data = &way_null},
    {.name = "wait_for_ever", .flags = THESEUS_IDEMPOTENT, .call = wait_for_ever},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "dies",
    .version = "1.0",
    .start = start,
    .tools = tools,
};
