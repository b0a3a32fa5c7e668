/*
 * Restarts under load: restart [OPTIONS] -- SERVER ARGS…
 *
 * Requests of four kinds of tools, and pings, go out at a steady rate while the server is restarted again and again
 * (or, with -r, while a plugin's file is replaced by its other build). Every answer is judged.
 *
 * The server says of each restart how long nothing was handled (blackout_ms). The client's view of that is the longest
 * time between two answers to pings around it, less the usual time. The yardstick for both is measured in turns with
 * them: how long the same binary takes from execve(2) to its first word (`--version`).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "lib/child.h"
#include "lib/lines.h"
#include "lib/mixed.h"
#include "lib/samples.h"

enum {
    MS = 1000000,
    PATIENCE_MS = 30000,
    LAST_ANSWERS_MS = 3000,
    FIRST_REST_MS = 500,
    PAUSE_MS = 60, /* of ordinary traffic between two restarts */
    WARM_UP = 10,
    BARE_EXECS = 3,
    MOST_FILE = 16 << 20,
};

struct options {
    unsigned count, ballast_kib;
    bool quiet;                      /* pings only */
    bool fails;                      /* the restarts are expected to fail */
    char *binary;                    /* for bare execs; NULL: none */
    char *candidate, *program;       /* renamed to the program, when the server is up; NULL: nothing is */
    char *build[2], *draft, *target; /* of plugin 'version': replaced instead of restarting; NULL: restart */
    char **server;
};

enum { BLACKOUT, HELD_OVER, SUSPEND, GAP, BARE_EXEC, WHOLE, MEASURES };

static const char *const measures[MEASURES] = {"blackout", "held_over", "suspend", "gap", "bare_exec", "whole"};

struct bench {
    const struct options *options;
    struct mixed *mixed; /* owned */
    struct lines lines;
    struct child child;
    struct buf image[2];
    struct samples samples[MEASURES];
    unsigned done, failed;
    char first_failure[300];
    long rss_kb[2];
    int fds[2];
};

static void bench_init(struct bench *bench, const struct options *options) {
    *bench = (struct bench){.options = options, .mixed = mixed_new()};
    for (int i = 0; i < MEASURES; i++)
        bench->samples[i].ns = xcalloc((size_t)options->count * BARE_EXECS, sizeof(int64_t));
}

static void bench_fini_cleanup(struct bench *bench) {
    lines_fini_cleanup(&bench->lines);
    child_fini_cleanup(&bench->child);
    (void)mixed_free(bench->mixed);
    for (int i = 0; i < MEASURES; i++)
        samples_fini_cleanup(&bench->samples[i]);
    for (int i = 0; i < 2; i++)
        buf_fini(&bench->image[i]);
}

static void add(struct bench *bench, int measure, double ms) {
    struct samples *samples = &bench->samples[measure];

    samples->ns[samples->count++] = (int64_t)(ms * MS);
}

/* ---- the yardstick ---- */

static void exec_binary(char *binary, int out, int64_t *began) {
    char option[] = "--version", *argv[] = {binary, option, NULL};

    (void)dup2(out, STDOUT_FILENO);
    *began = clock_now_ns();
    (void)execv(binary, argv);
    _exit(127);
}

/* From execve(2) to the first byte that the program writes. */
static int measure_bare_exec(struct bench *bench, struct theseus_error *err) {
    int64_t *began = mmap(NULL, sizeof(*began), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int out[2], status;
    char byte;

    if (began == MAP_FAILED || pipe2(out, O_CLOEXEC) < 0)
        return fail_errno(err, "cannot measure an exec");
    pid_t pid = fork();
    if (pid == 0)
        exec_binary(bench->options->binary, out[1], began);
    (void)close(out[1]);
    ssize_t n = read(out[0], &byte, 1);
    int64_t end = clock_now_ns();
    (void)close(out[0]);
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || n != 1)
        return fail(err, ERR_INTERNAL, "'%s --version' says nothing", bench->options->binary);
    add(bench, BARE_EXEC, (double)(end - *began) / MS);
    (void)munmap(began, sizeof(*began));
    return 0;
}

/* ---- traffic ---- */

/* Until `end` (0: until something has come). */
static int turn(struct bench *bench, int64_t end, struct theseus_error *err) {
    struct span line;
    int64_t next;

    do {
        if (mixed_send(bench->mixed, &bench->lines.out, clock_now_ns(), &next, err) < 0)
            return -1;
        if (lines_wait(&bench->lines, end && end < next ? end : next, err) < 0)
            return -1;
        int64_t now = clock_now_ns();
        while (lines_next(&bench->lines, &line))
            mixed_receive(bench->mixed, line, now);
    } while (clock_now_ns() < end);
    return 0;
}

static int rest(struct bench *bench, int ms, struct theseus_error *err) {
    return turn(bench, clock_now_ns() + (int64_t)ms * MS, err);
}

/* ---- one restart ---- */

static double ms_of(const json_t *report, const char *key) {
    return json_number_value(json_object_get(report, key));
}

static void note_failure(struct bench *bench, const json_t *report) {
    CLEANUP(free) char *text = json_dumps(report, JSON_COMPACT);

    bench->failed++;
    if (!bench->first_failure[0])
        (void)snprintf(bench->first_failure, sizeof(bench->first_failure), "%s", text ? text : "");
}

static void note_report(struct bench *bench, const json_t *report, int64_t began) {
    bench->done++;
    if (json_is_true(json_object_get(report, "success")) == bench->options->fails)
        note_failure(bench, report);
    add(bench, BLACKOUT, ms_of(report, "blackout_ms"));
    add(bench, SUSPEND, ms_of(report, "suspend_ms"));
    add(bench, HELD_OVER, ms_of(report, "held_ms") - ms_of(report, "suspend_ms"));
    add(bench, WHOLE, (double)(clock_now_ns() - began) / MS);
}

static int restart_once(struct bench *bench, struct theseus_error *err) {
    int64_t began = clock_now_ns(), end = began + (int64_t)PATIENCE_MS * MS;
    json_auto_t *report = NULL;

    mixed_watch(bench->mixed);
    if (mixed_restart(bench->mixed, &bench->lines.out, began, err) < 0)
        return -1;
    while (!(report = mixed_take_report(bench->mixed))) {
        if (turn(bench, 0, err) < 0)
            return -1;
        if (clock_now_ns() > end)
            return fail(err, ERR_TIMEOUT, "restart %u was not answered within %d ms; %s", bench->done + 1, PATIENCE_MS,
                        mixed_stats(bench->mixed).first_fault);
    }
    note_report(bench, report, began);
    if (rest(bench, PAUSE_MS, err) < 0)
        return -1;
    add(bench, GAP, (double)mixed_longest_gap(bench->mixed) / MS - mixed_usual_gap_us(bench->mixed) / 1000);
    for (int i = 0; i < BARE_EXECS && bench->options->binary; i++)
        if (measure_bare_exec(bench, err) < 0)
            return -1;
    return rest(bench, PAUSE_MS, err); /* what came late meanwhile is not the next restart's */
}

/* ---- one reload ---- */

static int replace(const struct bench *bench, int build, struct theseus_error *err) {
    const struct options *options = bench->options;
    struct span image = buf_span(&bench->image[build]);
    CLEANUP(fd_close) int fd = open(options->draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

    if (fd < 0 || write(fd, image.data, image.len) != (ssize_t)image.len)
        return fail_errno(err, "cannot write '%s'", options->draft);
    if (rename(options->draft, options->target) < 0)
        return fail_errno(err, "cannot rename '%s' to '%s'", options->draft, options->target);
    return 0;
}

static int reload_once(struct bench *bench, struct theseus_error *err) {
    int64_t began = clock_now_ns(), end = began + (int64_t)PATIENCE_MS * MS;
    int build = mixed_version(bench->mixed) == 0;

    if (replace(bench, build, err) < 0)
        return -1;
    while (mixed_version(bench->mixed) != build) {
        if (turn(bench, 0, err) < 0)
            return -1;
        if (clock_now_ns() > end)
            return fail(err, ERR_TIMEOUT, "reload %u did not show within %d ms; %s", bench->done + 1, PATIENCE_MS,
                        mixed_stats(bench->mixed).first_fault);
    }
    bench->done++;
    add(bench, WHOLE, (double)(clock_now_ns() - began) / MS);
    return 0;
}

/* ---- the run ---- */

static int put_ballast(struct bench *bench, struct theseus_error *err) {
    CLEANUP(free)
    char *ask = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/call\",\"params\":{\"name\":\"ballast\","
                          "\"arguments\":{\"kib\":%u}}}\n",
                          bench->options->ballast_kib);
    struct span answer;

    if (bench->options->ballast_kib == 0)
        return 0;
    if (lines_await_tool(&bench->lines, "ballast", err) < 0 || lines_ask(&bench->lines, ask, &answer, err) < 0)
        return -1;
    if (!memmem(answer.data, answer.len, "KiB\"", 4))
        return fail(err, ERR_INVALID, "no state was put: %.*s", (int)answer.len, answer.data);
    return 0;
}

static int await_tools(struct bench *bench, struct theseus_error *err) {
    const char *tools[] = {bench->options->target ? "echo" : "orchestrator_restart_server", "version", "batch"};

    for (int i = 0; i < (bench->options->quiet ? 1 : 3); i++)
        if (lines_await_tool(&bench->lines, tools[i], err) < 0)
            return -1;
    return 0;
}

static int begin(struct bench *bench, struct theseus_error *err) {
    static const unsigned quiet[MIXED_RESTART] = {[MIXED_PING] = 1000};
    static const unsigned loaded[MIXED_RESTART] = {
        [MIXED_ECHO] = 800, [MIXED_VERSION] = 200, [MIXED_SLOW] = 20, [MIXED_BATCH] = 10, [MIXED_PING] = 1000};
    const struct options *options = bench->options;

    if (options->target && replace(bench, 0, err) < 0)
        return -1;
    if (child_start(&bench->child, options->server, false, err) < 0)
        return -1;
    bench->lines.child = &bench->child;
    if (lines_greet(&bench->lines, err) < 0 || await_tools(bench, err) < 0 || put_ballast(bench, err) < 0)
        return -1;
    if (options->candidate && rename(options->candidate, options->program) < 0)
        return fail_errno(err, "cannot rename '%s' to '%s'", options->candidate, options->program);
    mixed_set_rates(bench->mixed, options->quiet ? quiet : loaded, clock_now_ns());
    return rest(bench, FIRST_REST_MS, err);
}

static void look_at_server(struct bench *bench, int when) {
    bench->rss_kb[when] = child_rss_kb(&bench->child);
    bench->fds[when] = child_fds(&bench->child);
}

static int drive(struct bench *bench, struct theseus_error *err) {
    for (unsigned i = 0; i < bench->options->count; i++) {
        if ((bench->options->target ? reload_once(bench, err) : restart_once(bench, err)) < 0)
            return -1;
        if (i + 1 == WARM_UP)
            look_at_server(bench, 0);
    }
    return 0;
}

/* Whatever was asked is answered within this time, or lost. */
static int await_answers(struct bench *bench, struct theseus_error *err) {
    static const unsigned nothing[MIXED_RESTART] = {0};
    int64_t end = clock_now_ns() + (int64_t)LAST_ANSWERS_MS * MS;

    mixed_set_rates(bench->mixed, nothing, clock_now_ns());
    while (mixed_stats(bench->mixed).answered < mixed_stats(bench->mixed).sent && clock_now_ns() < end)
        if (rest(bench, 20, err) < 0)
            return -1;
    return rest(bench, 200, err); /* for an answer that comes a second time */
}

/* ---- what came of it ---- */

static void print_text(const char *name, const char *text) {
    json_auto_t *value = json_string(text);
    CLEANUP(free) char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

    printf("\"%s\":%s,", name, quoted ? quoted : "null");
}

static void print(struct bench *bench, double seconds) {
    struct mixed_stats stats = mixed_stats(bench->mixed);

    printf("{\"count\":%u,\"failed\":%u,\"seconds\":%.1f,\"requests\":%u,\"lost\":%u,\"doubled\":%u,\"wrong\":%u,"
           "\"interrupted\":%u,\"unexplained\":%u,\"per_second\":%.0f,",
           bench->done, bench->failed, seconds, stats.sent, stats.sent - stats.answered, stats.doubled, stats.wrong,
           stats.interrupted, stats.unexplained, stats.sent / seconds);
    for (int i = 0; i < MEASURES; i++) {
        struct samples *samples = &bench->samples[i];
        samples_sort(samples);
        printf("\"%s_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},", measures[i],
               samples_percentile_us(samples, 50) / 1000, samples_percentile_us(samples, 99) / 1000,
               samples_percentile_us(samples, 100) / 1000);
    }
    print_text("first_fault", stats.first_fault);
    print_text("first_failure", bench->first_failure);
    printf("\"longest_call_ms\":%.1f,\"usual_gap_ms\":%.3f,\"rss_kb\":[%ld,%ld],\"fds\":[%d,%d]}\n",
           (double)mixed_longest_call(bench->mixed) / MS, mixed_usual_gap_us(bench->mixed) / 1000, bench->rss_kb[0],
           bench->rss_kb[1], bench->fds[0], bench->fds[1]);
}

static int run(const struct options *options, struct theseus_error *err) {
    CLEANUP(bench_fini) struct bench bench;

    bench_init(&bench, options);
    for (int i = 0; i < 2 && options->target; i++)
        if (fs_read_file(options->build[i], MOST_FILE, &bench.image[i], err) < 0)
            return -1;
    if (begin(&bench, err) < 0)
        return -1;
    int64_t start = clock_now_ns();
    if (drive(&bench, err) < 0)
        return -1;
    double seconds = (double)(clock_now_ns() - start) / 1e9;
    if (await_answers(&bench, err) < 0)
        return -1;
    look_at_server(&bench, 1);
    print(&bench, seconds);
    return child_stop(&bench.child, err);
}

static int parse_option(struct options *options, int c) {
    switch (c) {
    case 'n':
        options->count = (unsigned)strtoul(optarg, NULL, 10);
        return 0;
    case 'b':
        options->ballast_kib = (unsigned)strtoul(optarg, NULL, 10);
        return 0;
    case 'e':
        options->binary = optarg;
        return 0;
    case 'c':
        options->candidate = optarg;
        return 0;
    case 'p':
        options->program = optarg;
        return 0;
    case 'r':
        options->target = optarg;
        return 0;
    case 'f':
        options->fails = true;
        return 0;
    case 'q':
        options->quiet = true;
        return 0;
    default:
        return -1;
    }
}

static int parse(int argc, char *argv[], struct options *options) {
    int c;

    *options = (struct options){.count = 100};
    while ((c = getopt(argc, argv, "+n:b:e:c:p:r:fq")) != -1)
        if (parse_option(options, c) < 0)
            return -1;
    if (options->target && argc - optind >= 4) {
        options->build[0] = argv[optind++];
        options->build[1] = argv[optind++];
        options->draft = argv[optind++];
        optind += strcmp(argv[optind], "--") == 0; /* where nothing is before it, getopt has taken it */
    }
    if (optind >= argc || options->count == 0 || !options->candidate != !options->program ||
        (options->target && (!options->draft || options->quiet)))
        return -1;
    options->server = argv + optind;
    return 0;
}

int main(int argc, char *argv[]) {
    struct theseus_error err = {0};
    struct options options;

    if (parse(argc, argv, &options) < 0) {
        (void)fputs("usage: restart [-n COUNT (100)] [-b STATE-KIB] [-q: pings only] [-f: they fail]\n"
                    "               [-e BINARY: beside bare execs of it] [-c CANDIDATE -p PROGRAM: put there first]\n"
                    "               [-r TARGET.so FIRST.so SECOND.so DRAFT: reloads of 'version'] -- SERVER ARGS...\n",
                    stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (run(&options, &err) < 0) {
        (void)fprintf(stderr, "restart: %s\n", err.message);
        return 1;
    }
    return 0;
}
