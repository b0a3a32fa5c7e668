/*
 * The load generator: load [OPTIONS] -- SERVER ARGS…
 *
 * Starts the server, shakes hands, keeps D calls of `echo` in flight until N are sent or the time is over, and judges
 * every answer. Prints one line of JSON. Requests that can leave together leave in one write, as answers should.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/child.h"
#include "lib/lines.h"
#include "lib/samples.h"
#include "lib/traffic.h"

enum { PATIENCE_S = 20, STILL_LOOKS = 15, LOOK_NS = 20 * 1000 * 1000 };

struct options {
    unsigned depth, count, starts;
    size_t payload;
    double seconds, warm_up;
    bool socketpair, fixed, idle;
    char **server;
};

struct measured {
    double seconds, start_ms, cpu_us;
    unsigned first, answered; /* id of the first call behind the warm-up, and how many */
};

static const char usage[] =
    "usage: load [OPTIONS] -- SERVER ARGS...\n"
    "  -d DEPTH    calls in flight (64)\n"
    "  -n COUNT    calls, at most, with those of the warm-up (5000000)\n"
    "  -t SECONDS  stop sending after this time (2)\n"
    "  -w SECONDS  drive it so long before measuring (0.5): compilers at run time need it\n"
    "  -s BYTES    length of the message that is echoed (32)\n"
    "  -p          a UNIX socket pair instead of pipes\n"
    "  -f          the server answers with a fixed text: only that is asked of it\n"
    "  -S COUNT    only start it so many times: from its start to the answer to initialize\n"
    "  -i          only its memory: when the tools are listed and it has stood still for a while\n";

static int parse(int argc, char *argv[], struct options *options) {
    int c;

    *options = (struct options){.depth = 64, .count = 5000000, .seconds = 2, .warm_up = 0.5, .payload = 32};
    while ((c = getopt(argc, argv, "d:n:t:w:s:S:pfi")) != -1)
        switch (c) {
        case 'd':
            options->depth = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            options->count = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            options->seconds = strtod(optarg, NULL);
            break;
        case 'w':
            options->warm_up = strtod(optarg, NULL);
            break;
        case 's':
            options->payload = strtoul(optarg, NULL, 10);
            break;
        case 'S':
            options->starts = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            options->socketpair = true;
            break;
        case 'f':
            options->fixed = true;
            break;
        case 'i':
            options->idle = true;
            break;
        default:
            return -1;
        }
    options->server = argv + optind;
    return optind < argc && options->depth > 0 && options->count > 0 ? 0 : -1;
}

/* Starts the server and shakes hands. */
static int begin(const struct options *options, struct child *child, struct lines *lines, double *ret_ms,
                 struct theseus_error *err) {
    int64_t start = clock_now_ns();

    if (child_start(child, options->server, options->socketpair, err) < 0)
        return -1;
    lines->child = child;
    if (lines_greet(lines, err) < 0)
        return -1;
    *ret_ms = (double)(clock_now_ns() - start) / 1e6;
    return 0;
}

/* Takes every answer that is there. */
static int collect(struct lines *lines, struct traffic *traffic, struct theseus_error *err) {
    int64_t now = clock_now_ns();
    struct span line;
    unsigned id;
    int variant;

    while (lines_next(lines, &line))
        if (traffic_receive(traffic, line, now, &id, &variant, err) < 0)
            return -1;
    return 0;
}

/* Calls for so many seconds; ends when the last one is answered. */
static int drive(const struct options *options, double seconds, struct lines *lines, struct traffic *traffic,
                 struct theseus_error *err) {
    int64_t end = clock_now_ns() + (int64_t)(seconds * 1e9);

    for (;;) {
        int64_t now = clock_now_ns();
        while (now < end && traffic_sent(traffic) < options->count &&
               traffic_sent(traffic) - traffic_answered(traffic) < options->depth)
            if (traffic_send(traffic, &lines->out, now, err) < 0)
                return -1;
        if (traffic_sent(traffic) == traffic_answered(traffic))
            return 0;
        if (lines_wait(lines, 0, err) < 0 || collect(lines, traffic, err) < 0)
            return -1;
    }
}

static int measure(const struct options *options, struct measured *measured, struct traffic *traffic,
                   struct theseus_error *err) {
    CLEANUP(child_fini) struct child child = {0};
    CLEANUP(lines_fini) struct lines lines = {0};

    if (begin(options, &child, &lines, &measured->start_ms, err) < 0 || lines_await_tool(&lines, "echo", err) < 0)
        return -1;
    if (drive(options, options->warm_up, &lines, traffic, err) < 0)
        return -1;
    measured->first = traffic_sent(traffic) + 1;
    int64_t cpu = child_cpu_ns(&child), start = clock_now_ns();
    if (drive(options, options->seconds, &lines, traffic, err) < 0)
        return -1;
    measured->seconds = (double)(clock_now_ns() - start) / 1e9;
    measured->answered = traffic_answered(traffic) - measured->first + 1;
    if (measured->answered == 0)
        return fail(err, ERR_LIMIT, "the warm-up used up all %u calls", options->count);
    measured->cpu_us = (double)(child_cpu_ns(&child) - cpu) / 1e3 / measured->answered;
    return child_stop(&child, err);
}

static void print(const struct measured *measured, const struct traffic *traffic) {
    CLEANUP(samples_fini) struct samples samples = {.ns = xcalloc(measured->answered + 1, sizeof(int64_t))};

    for (unsigned id = measured->first; id < measured->first + measured->answered; id++)
        samples.ns[samples.count++] = traffic_latency(traffic, id);
    samples_sort(&samples);
    printf("{\"requests\":%u,\"per_second\":%.0f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
           "\"cpu_us\":%.2f,\"start_ms\":%.3f}\n",
           measured->answered, measured->answered / measured->seconds, samples_percentile_us(&samples, 50),
           samples_percentile_us(&samples, 90), samples_percentile_us(&samples, 99),
           samples_percentile_us(&samples, 100), measured->cpu_us, measured->start_ms);
}

static int start_once(const struct options *options, double *ret_ms, struct theseus_error *err) {
    CLEANUP(child_fini) struct child child = {0};
    CLEANUP(lines_fini) struct lines lines = {0};

    return begin(options, &child, &lines, ret_ms, err) < 0 ? -1 : child_stop(&child, err);
}

static int start_often(const struct options *options, struct theseus_error *err) {
    CLEANUP(samples_fini) struct samples samples = {.ns = xcalloc(options->starts, sizeof(int64_t))};
    double ms;

    while (samples.count < options->starts) {
        if (start_once(options, &ms, err) < 0)
            return -1;
        samples.ns[samples.count++] = (int64_t)(ms * 1e6);
    }
    samples_sort(&samples);
    printf("{\"starts\":%zu,\"start_ms\":%.3f,\"max_ms\":%.3f}\n", samples.count,
           samples_percentile_us(&samples, 50) / 1000, samples_percentile_us(&samples, 100) / 1000);
    return 0;
}

/* Resident memory once it has not changed for a third of a second. */
static int measure_idle(const struct options *options, struct theseus_error *err) {
    CLEANUP(child_fini) struct child child = {0};
    CLEANUP(lines_fini) struct lines lines = {0};
    long kb = 0;
    double ms;

    if (begin(options, &child, &lines, &ms, err) < 0 || lines_await_tool(&lines, "echo", err) < 0)
        return -1;
    for (int still = 0; still < STILL_LOOKS; still++) {
        long now = child_rss_kb(&child);
        still = now == kb ? still : 0;
        kb = now;
        (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    printf("{\"rss_kb\":%ld}\n", kb);
    return child_stop(&child, err);
}

static int run(const struct options *options, struct theseus_error *err) {
    struct tool_call echo = {.tool = "echo", .argument = "message", .prefixes = {""}, .fixed = options->fixed};
    struct measured measured;

    if (options->starts)
        return start_often(options, err);
    if (options->idle)
        return measure_idle(options, err);
    CLEANUP(traffic_free) struct traffic *traffic = traffic_new(echo, options->count, options->payload);
    if (measure(options, &measured, traffic, err) < 0)
        return -1;
    print(&measured, traffic);
    return 0;
}

static void on_silence(int signal_number) {
    static const char text[] = "load: the server stays silent\n";

    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(2);
    _exit(1);
}

int main(int argc, char *argv[]) {
    struct theseus_error err = {0};
    struct options options;

    if (parse(argc, argv, &options) < 0) {
        (void)fputs(usage, stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGALRM, on_silence);
    (void)alarm((unsigned)(options.seconds + options.warm_up) + PATIENCE_S);
    if (run(&options, &err) < 0) {
        (void)fprintf(stderr, "load: %s: %s\n", options.server[0], err.message);
        return 1;
    }
    return 0;
}
