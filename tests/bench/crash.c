/*
 * Crashes: crash [OPTIONS] -- SERVER ARGS…
 *
 * A tool crashes the server, now on the loop, now on a worker, and is answered by the next image: the time from the
 * request to that answer is measured. A planned restart follows each, and says itself how long nothing was handled.
 * Both in turns, so that what the machine does meanwhile meets them alike.
 *
 * And what it costs to say for each request whose code runs, against the processor time that a request takes in all.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "base/blame.h"
#include "base/clock.h"
#include "lib/child.h"
#include "lib/lines.h"
#include "lib/samples.h"

enum { MS = 1000000, PATIENCE_MS = 30000, REST_MS = 20, BATCH = 100, BATCHES = 300, ROUNDS = 20 << 20 };

struct options {
    unsigned count, ballast_kib;
    char **server;
};

struct bench {
    const struct options *options;
    struct child child;
    struct lines lines;
    struct samples loop, worker, planned;
    double request_ns, blame_ns;
};

static void bench_init(struct bench *bench, const struct options *options) {
    struct samples *all[] = {&bench->loop, &bench->worker, &bench->planned};

    *bench = (struct bench){.options = options};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        all[i]->ns = xcalloc((size_t)options->count * 2, sizeof(int64_t));
}

static void bench_fini_cleanup(struct bench *bench) {
    lines_fini_cleanup(&bench->lines);
    child_fini_cleanup(&bench->child);
    samples_fini_cleanup(&bench->loop);
    samples_fini_cleanup(&bench->worker);
    samples_fini_cleanup(&bench->planned);
}

static int call(struct bench *bench, const char *tool, const char *args, struct span *ret_line,
                struct theseus_error *err) {
    CLEANUP(free)
    char *text = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\","
                           "\"arguments\":%s}}\n",
                           tool, args);

    return lines_ask(&bench->lines, text, ret_line, err);
}

/* Until there is nothing left to do in the image that has just come. */
static void rest(void) {
    (void)usleep(REST_MS * 1000);
}

static int crash_once(struct bench *bench, const char *tool, struct samples *samples, struct theseus_error *err) {
    int64_t began = clock_now_ns();
    struct span line;

    if (call(bench, tool, "{}", &line, err) < 0)
        return -1;
    if (!memmem(line.data, line.len, "theseus/crash", 13))
        return fail(err, ERR_INVALID, "'%s' was answered with %.*s", tool, (int)line.len, line.data);
    samples->ns[samples->count++] = clock_now_ns() - began;
    rest();
    return 0;
}

static int restart_once(struct bench *bench, struct theseus_error *err) {
    struct span line;

    if (call(bench, "orchestrator_restart_server", "{}", &line, err) < 0)
        return -1;
    json_auto_t *answer = json_loadb(line.data, line.len, 0, NULL);
    const json_t *report = json_object_get(json_object_get(answer, "result"), "structuredContent");
    if (!json_is_true(json_object_get(report, "success")))
        return fail(err, ERR_INVALID, "the restart was answered with %.*s", (int)line.len, line.data);
    bench->planned.ns[bench->planned.count++] =
        (int64_t)(json_number_value(json_object_get(report, "blackout_ms")) * MS);
    rest();
    return 0;
}

/* ---- what it costs ---- */

static int echo_batch(struct bench *bench, struct theseus_error *err) {
    int64_t end = clock_now_ns() + (int64_t)PATIENCE_MS * MS;
    struct span line;
    int left = BATCH;

    for (int i = 1; i <= BATCH; i++) {
        char text[200];
        (void)snprintf(text, sizeof(text),
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\","
                       "\"arguments\":{\"message\":\"message number %d\"}}}\n",
                       i, i);
        if (buf_append(&bench->lines.out, span_of(text), err) < 0)
            return -1;
    }
    while (left > 0 && clock_now_ns() < end) {
        if (lines_wait(&bench->lines, end, err) < 0)
            return -1;
        while (lines_next(&bench->lines, &line))
            left--;
    }
    return left == 0 ? 0 : fail(err, ERR_TIMEOUT, "%d requests were not answered", left);
}

static int measure_request(struct bench *bench, struct theseus_error *err) {
    if (echo_batch(bench, err) < 0)
        return -1;
    int64_t before = child_cpu_ns(&bench->child);
    for (int i = 0; i < BATCHES; i++)
        if (echo_batch(bench, err) < 0)
            return -1;
    bench->request_ns = (double)(child_cpu_ns(&bench->child) - before) / (BATCH * BATCHES);
    return 0;
}

static void measure_blame(struct bench *bench) {
    static struct blame blame;
    static const char *volatile text = "text";
    int64_t before = clock_now_ns();

    for (int i = 0; i < ROUNDS; i++) {
        blame = (struct blame){
            .plugin = text, .version = text, .hash = text, .tool = text, .conn = 1, .offset = (uint64_t)i, .index = 0};
        blame_enter(&blame);
        blame_leave(&blame);
    }
    bench->blame_ns = (double)(clock_now_ns() - before) / ROUNDS;
}

/* ---- the run ---- */

static int begin(struct bench *bench, struct theseus_error *err) {
    CLEANUP(free) char *ballast = xasprintf("{\"kib\":%u}", bench->options->ballast_kib);
    struct span line;

    if (child_start(&bench->child, bench->options->server, false, err) < 0)
        return -1;
    bench->lines.child = &bench->child;
    if (lines_greet(&bench->lines, err) < 0 || lines_await_tool(&bench->lines, "die_null", err) < 0 ||
        lines_await_tool(&bench->lines, "ballast", err) < 0)
        return -1;
    return call(bench, "ballast", ballast, &line, err);
}

static int drive(struct bench *bench, struct theseus_error *err) {
    for (unsigned i = 0; i < bench->options->count; i++)
        if (crash_once(bench, "inline_null", &bench->loop, err) < 0 || restart_once(bench, err) < 0 ||
            crash_once(bench, "die_null", &bench->worker, err) < 0 || restart_once(bench, err) < 0)
            return -1;
    return 0;
}

static void print_samples(const char *name, struct samples *samples) {
    samples_sort(samples);
    printf("\"%s_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},", name, samples_percentile_us(samples, 50) / 1000,
           samples_percentile_us(samples, 99) / 1000, samples_percentile_us(samples, 100) / 1000);
}

static int run(const struct options *options, struct theseus_error *err) {
    CLEANUP(bench_fini) struct bench bench;

    bench_init(&bench, options);
    if (begin(&bench, err) < 0 || measure_request(&bench, err) < 0 || drive(&bench, err) < 0)
        return -1;
    measure_blame(&bench);
    printf("{\"count\":%u,", options->count);
    print_samples("loop", &bench.loop);
    print_samples("worker", &bench.worker);
    print_samples("planned", &bench.planned);
    printf("\"request_ns\":%.0f,\"blame_ns\":%.2f}\n", bench.request_ns, bench.blame_ns);
    return child_stop(&bench.child, err);
}

static int parse(int argc, char *argv[], struct options *options) {
    int c;

    *options = (struct options){.count = 100};
    while ((c = getopt(argc, argv, "+n:b:")) != -1) {
        if (c == 'n')
            options->count = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'b')
            options->ballast_kib = (unsigned)strtoul(optarg, NULL, 10);
        else
            return -1;
    }
    options->server = argv + optind;
    return optind < argc && options->count > 0 ? 0 : -1;
}

int main(int argc, char *argv[]) {
    struct theseus_error err = {0};
    struct options options;

    if (parse(argc, argv, &options) < 0) {
        (void)fputs("usage: crash [-n COUNT (100)] [-b STATE-KIB] -- SERVER ARGS...\n", stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (run(&options, &err) < 0) {
        (void)fprintf(stderr, "crash: %s\n", err.message);
        return 1;
    }
    return 0;
}
