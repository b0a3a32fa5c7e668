/*
 * Reload under load: reload [OPTIONS] FIRST.so SECOND.so DRAFT TARGET.so -- SERVER ARGS…
 *
 * Two builds of one plugin, whose tool `greet` says "hello NAME" or "good day NAME". While calls go out at a steady
 * rate, the plugin's file is replaced by the other build (written to DRAFT, renamed to TARGET) as soon as some
 * answers show that the last replacement is in force. Every answer is judged: none lost, failed or doubled, and no call
 * that was sent after the new build had answered is answered by the old one.
 *
 * What a swap costs is seen from the client: the longest latency among the calls from the last one that the old build
 * answered to the first one of the new.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "lib/child.h"
#include "lib/lines.h"
#include "lib/samples.h"
#include "lib/traffic.h"

enum { WARM_UP = 50, CONFIRMING_CALLS = 8, PATIENCE_S = 10, MOST_FILE = 16 << 20, REST_NS = 100 * 1000 * 1000 };

struct options {
    unsigned reloads, rate;
    char *build[TRAFFIC_VARIANTS], *draft, *target;
    char **server;
};

struct swap {
    unsigned last_old, first_new; /* ids of the calls on either side */
    int64_t replaced, seen;       /* when the file was renamed, when the new build first answered */
};

struct bench {
    const struct options *options;
    struct buf image[TRAFFIC_VARIANTS];
    struct traffic *traffic; /* owned */
    struct lines lines;
    struct child child;
    struct swap *swaps; /* owned; one for each reload */
    unsigned swapped;
    unsigned unconfirmed;               /* calls that the new build has to answer before the next replacement */
    int current;                        /* the build whose file is in place */
    unsigned last_of[TRAFFIC_VARIANTS]; /* id of the last call that each build answered */
    int64_t last_answer, longest_gap;
    long rss_kb[2]; /* after the warm-up, at the end */
    int fds[2];
};

static void bench_fini_cleanup(struct bench *bench) {
    lines_fini_cleanup(&bench->lines);
    child_fini_cleanup(&bench->child);
    for (int i = 0; i < TRAFFIC_VARIANTS; i++)
        buf_fini(&bench->image[i]);
    (void)traffic_free(bench->traffic);
    free(bench->swaps);
}

static int replace(struct bench *bench, int build, struct theseus_error *err) {
    const struct options *options = bench->options;
    struct span image = buf_span(&bench->image[build]);
    CLEANUP(fd_close) int fd = open(options->draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

    if (fd < 0 || write(fd, image.data, image.len) != (ssize_t)image.len)
        return fail_errno(err, "cannot write '%s'", options->draft);
    if (rename(options->draft, options->target) < 0)
        return fail_errno(err, "cannot rename '%s' to '%s'", options->draft, options->target);
    bench->current = build;
    bench->swaps[bench->swapped].replaced = clock_now_ns();
    return 0;
}

/* The first answer of the new build. */
static void on_swapped(struct bench *bench, unsigned id, int64_t now) {
    struct swap *swap = &bench->swaps[bench->swapped++];

    swap->seen = now;
    swap->first_new = id;
    swap->last_old = bench->last_of[!bench->current];
    bench->unconfirmed = CONFIRMING_CALLS;
    if (bench->swapped == WARM_UP) {
        bench->rss_kb[0] = child_rss_kb(&bench->child);
        bench->fds[0] = child_fds(&bench->child);
    }
}

/* An answer to a call that was sent after the last swap had been seen. */
static int on_later_answer(struct bench *bench, unsigned id, int build, int64_t now, struct theseus_error *err) {
    if (bench->unconfirmed == 0) {
        if (build == bench->current)
            on_swapped(bench, id, now);
        return 0;
    }
    if (build != bench->current)
        return fail(err, ERR_INVALID, "call %u was answered by the old build after the new one had answered", id);
    if (--bench->unconfirmed == 0 && bench->swapped < bench->options->reloads)
        return replace(bench, !bench->current, err);
    return 0;
}

static int on_answer(struct bench *bench, struct span line, int64_t now, struct theseus_error *err) {
    unsigned id;
    int build;

    if (traffic_receive(bench->traffic, line, now, &id, &build, err) < 0)
        return -1;
    if (bench->last_answer && now - bench->last_answer > bench->longest_gap)
        bench->longest_gap = now - bench->last_answer;
    bench->last_answer = now;
    if (id > bench->last_of[build])
        bench->last_of[build] = id;
    if (bench->swapped && traffic_sent_at(bench->traffic, id) <= bench->swaps[bench->swapped - 1].seen)
        return 0; /* was under way during the swap: either build is right */
    return on_later_answer(bench, id, build, now, err);
}

static int collect(struct bench *bench, struct theseus_error *err) {
    int64_t now = clock_now_ns();
    struct span line;

    while (lines_next(&bench->lines, &line))
        if (!memmem(line.data, line.len, "\"method\"", 8) && on_answer(bench, line, now, err) < 0)
            return -1;
    return 0;
}

/* One call each 1/rate second, and the swaps, until all of them were seen. */
static int drive(struct bench *bench, struct theseus_error *err) {
    int64_t step = 1000000000 / bench->options->rate, due = clock_now_ns();

    while (bench->swapped < bench->options->reloads || bench->unconfirmed) {
        int64_t now = clock_now_ns();
        if (!bench->unconfirmed && now - bench->swaps[bench->swapped].replaced > (int64_t)PATIENCE_S * 1000000000)
            return fail(err, ERR_TIMEOUT, "reload %u did not show within %d s", bench->swapped + 1, PATIENCE_S);
        for (; due <= now; due += step)
            if (traffic_send(bench->traffic, &bench->lines.out, now, err) < 0)
                return -1;
        if (lines_wait(&bench->lines, due, err) < 0 || collect(bench, err) < 0)
            return -1;
    }
    while (traffic_answered(bench->traffic) < traffic_sent(bench->traffic))
        if (lines_wait(&bench->lines, 0, err) < 0 || collect(bench, err) < 0)
            return -1;
    return 0;
}

/* Old generations leave a moment after their last call: wait until the descriptors are as few as before. */
static void settle(struct bench *bench) {
    int64_t end = clock_now_ns() + (int64_t)PATIENCE_S * 100000000;

    do {
        (void)nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
        bench->fds[1] = child_fds(&bench->child);
        bench->rss_kb[1] = child_rss_kb(&bench->child);
    } while (bench->fds[1] > bench->fds[0] && clock_now_ns() < end);
}

/* The result of tool `theseus_plugins`, as it came. */
static int print_plugins(struct bench *bench, struct theseus_error *err) {
    struct span answer;
    json_error_t at;

    if (lines_ask(&bench->lines,
                  "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/call\",\"params\":{\"name\":\"theseus_plugins\","
                  "\"arguments\":{}}}\n",
                  &answer, err) < 0)
        return -1;
    json_auto_t *message = json_loadb(answer.data, answer.len, 0, &at);
    CLEANUP(free) char *result = json_dumps(json_object_get(message, "result"), JSON_COMPACT);
    printf("\"plugins\":%s}\n", result ? result : "null");
    return 0;
}

static int64_t worst_of(const struct bench *bench, const struct swap *swap) {
    unsigned from = swap->last_old < swap->first_new ? swap->last_old : swap->first_new;
    unsigned to = swap->last_old < swap->first_new ? swap->first_new : swap->last_old;
    int64_t worst = 0;

    for (unsigned id = from ? from : 1; id <= to; id++)
        if (traffic_latency(bench->traffic, id) > worst)
            worst = traffic_latency(bench->traffic, id);
    return worst;
}

static void print(const struct bench *bench, double seconds) {
    CLEANUP(samples_fini) struct samples swaps = {.ns = xcalloc(bench->swapped, sizeof(int64_t))};
    CLEANUP(samples_fini) struct samples shown = {.ns = xcalloc(bench->swapped, sizeof(int64_t))};
    unsigned sent = traffic_sent(bench->traffic);
    CLEANUP(samples_fini) struct samples calls = {.ns = xcalloc(sent, sizeof(int64_t))};

    for (unsigned i = 0; i < bench->swapped; i++) {
        swaps.ns[swaps.count++] = worst_of(bench, &bench->swaps[i]);
        shown.ns[shown.count++] = bench->swaps[i].seen - bench->swaps[i].replaced;
    }
    for (unsigned id = 1; id <= sent; id++)
        calls.ns[calls.count++] = traffic_latency(bench->traffic, id);
    samples_sort(&swaps);
    samples_sort(&shown);
    samples_sort(&calls);
    printf("{\"reloads\":%u,\"calls\":%u,\"answered\":%u,\"per_second\":%.0f,\"swap_p50_us\":%.1f,\"swap_p99_us\":%.1f,"
           "\"swap_max_us\":%.1f,",
           bench->swapped, sent, traffic_answered(bench->traffic), sent / seconds, samples_percentile_us(&swaps, 50),
           samples_percentile_us(&swaps, 99), samples_percentile_us(&swaps, 100));
    printf("\"shown_p50_ms\":%.2f,\"call_p50_us\":%.1f,\"call_p99_us\":%.1f,\"longest_gap_us\":%.1f,",
           samples_percentile_us(&shown, 50) / 1000, samples_percentile_us(&calls, 50),
           samples_percentile_us(&calls, 99), (double)bench->longest_gap / 1000);
    printf("\"rss_kb\":[%ld,%ld],\"fds\":[%d,%d],", bench->rss_kb[0], bench->rss_kb[1], bench->fds[0], bench->fds[1]);
}

static int run(const struct options *options, struct theseus_error *err) {
    struct tool_call greet = {.tool = "greet", .argument = "name", .prefixes = {"hello ", "good day "}};
    CLEANUP(bench_fini) struct bench bench = {.options = options};

    /* Calls of up to half a second for each reload, and as many again for a server that is slow to show the first. */
    bench.traffic = traffic_new(greet, options->rate * (options->reloads / 2 + 60), 32);
    bench.swaps = xcalloc(options->reloads + 1, sizeof(struct swap));
    for (int i = 0; i < TRAFFIC_VARIANTS; i++)
        if (fs_read_file(options->build[i], MOST_FILE, &bench.image[i], err) < 0)
            return -1;
    if (replace(&bench, 0, err) < 0 || child_start(&bench.child, options->server, false, err) < 0)
        return -1;
    bench.lines.child = &bench.child;
    if (lines_greet(&bench.lines, err) < 0 || lines_await_tool(&bench.lines, "greet", err) < 0)
        return -1;
    int64_t start = clock_now_ns();
    if (replace(&bench, 1, err) < 0 || drive(&bench, err) < 0)
        return -1;
    double seconds = (double)(clock_now_ns() - start) / 1e9;
    settle(&bench);
    print(&bench, seconds);
    return print_plugins(&bench, err) < 0 ? -1 : child_stop(&bench.child, err);
}

static int parse(int argc, char *argv[], struct options *options) {
    int c;

    *options = (struct options){.reloads = 1000, .rate = 2000};
    while ((c = getopt(argc, argv, "+n:r:")) != -1)
        if (c == 'n')
            options->reloads = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'r')
            options->rate = (unsigned)strtoul(optarg, NULL, 10);
        else
            return -1;
    if (argc - optind < 6 || strcmp(argv[optind + 4], "--") != 0 || options->reloads <= WARM_UP || options->rate == 0)
        return -1;
    options->build[0] = argv[optind];
    options->build[1] = argv[optind + 1];
    options->draft = argv[optind + 2];
    options->target = argv[optind + 3];
    options->server = argv + optind + 5;
    return 0;
}

int main(int argc, char *argv[]) {
    struct theseus_error err = {0};
    struct options options;

    if (parse(argc, argv, &options) < 0) {
        (void)fputs("usage: reload [-n RELOADS (1000, more than 50)] [-r CALLS-PER-SECOND (2000)] FIRST.so SECOND.so "
                    "DRAFT TARGET.so -- SERVER ARGS...\n",
                    stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (run(&options, &err) < 0) {
        (void)fprintf(stderr, "reload: %s\n", err.message);
        return 1;
    }
    return 0;
}
