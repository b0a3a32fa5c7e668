/*
 * Many clients of one server: clients [OPTIONS] -c CLIENTS -u SOCKET -- THESEUS connect ARGS…
 *
 * A few `theseus connect` start the server and stay its clients; the others come to its socket and have sessions as if
 * they were behind one. Measured are the server's memory before and after the others have come; restarts under them, as
 * the server tells its blackout and as a client sees it that pings a thousand times a second; and how long it takes
 * until each of them is served again after the server was killed with SIGKILL while it had a call of each.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/child.h"
#include "lib/crowd.h"
#include "lib/lines.h"
#include "lib/mixed.h"
#include "lib/samples.h"

enum {
    MS = 1000000,
    PATIENCE_MS = 30000,
    LEAVE_MS = 10000,
    FIRST_REST_MS = 200,
    PAUSE_MS = 30,    /* of pings between two restarts */
    STILL_LOOKS = 75, /* longer than the server waits before it gives memory back */
    LOOK_NS = 20 * MS,
};

struct options {
    unsigned clients, relays, restarts, kills; /* relays: as many more, behind a `theseus connect` each */
    bool memory;
    const char *socket;
    char **connect;
};

enum { BLACKOUT, GAP, BACK, RELAYS_BACK, ALL_BACK, MEASURES };

static const char *const measures[MEASURES] = {"blackout", "gap", "back", "relays_back", "all_back"};

struct bench {
    const struct options *options;
    struct crowd *crowd; /* owned */
    struct mixed *mixed; /* owned */
    struct lines pings;
    struct child pinger; /* a socket to the server instead of a process */
    pid_t server;        /* to be killed */
    long rss_kb[2];      /* before and after the crowd has come */
    struct samples samples[MEASURES];
};

static void bench_fini_cleanup(struct bench *bench) {
    lines_fini_cleanup(&bench->pings);
    child_fini_cleanup(&bench->pinger);
    (void)mixed_free(bench->mixed);
    (void)crowd_free(bench->crowd);
    if (bench->server > 0)
        (void)kill(bench->server, SIGKILL);
    for (int i = 0; i < MEASURES; i++)
        samples_fini_cleanup(&bench->samples[i]);
}

static void bench_init(struct bench *bench, const struct options *options) {
    size_t most = options->restarts + (size_t)options->kills * (options->clients + options->relays) + 1;

    *bench = (struct bench){.options = options, .mixed = mixed_new()};
    bench->crowd = crowd_new(options->socket, options->relays, options->clients);
    for (int i = 0; i < MEASURES; i++)
        bench->samples[i].ns = xcalloc(most, sizeof(int64_t));
}

static void add(struct bench *bench, int measure, int64_t ns) {
    struct samples *samples = &bench->samples[measure];

    samples->ns[samples->count++] = ns;
}

/* ---- memory ---- */

/* Once it has not changed for a while. */
static long still_rss_kb(pid_t pid) {
    const struct child child = {.pid = pid};
    long kb = 0;

    for (int still = 0; still < STILL_LOOKS; still++) {
        long now = child_rss_kb(&child);
        still = now == kb ? still : 0;
        kb = now;
        (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return kb;
}

/* ---- restarts ---- */

static int open_pinger(struct bench *bench, struct theseus_error *err) {
    static const unsigned rates[MIXED_RESTART] = {[MIXED_PING] = 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", bench->options->socket);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return fail_errno(err, "cannot connect to '%s'", bench->options->socket);
    bench->pinger = (struct child){.from = fd, .to = fd};
    fd = -1;
    bench->pings.child = &bench->pinger;
    if (lines_greet(&bench->pings, err) < 0 || lines_await_tool(&bench->pings, "orchestrator_restart_server", err) < 0)
        return -1;
    mixed_set_rates(bench->mixed, rates, clock_now_ns());
    return 0;
}

/* Until `end` (0: until something has come). */
static int ping(struct bench *bench, int64_t end, struct theseus_error *err) {
    struct span line;
    int64_t next;

    do {
        if (mixed_send(bench->mixed, &bench->pings.out, clock_now_ns(), &next, err) < 0)
            return -1;
        if (lines_wait(&bench->pings, end && end < next ? end : next, err) < 0)
            return -1;
        int64_t now = clock_now_ns();
        while (lines_next(&bench->pings, &line))
            mixed_receive(bench->mixed, line, now);
    } while (clock_now_ns() < end);
    return 0;
}

static int restart(struct bench *bench, struct theseus_error *err) {
    int64_t began = clock_now_ns();
    json_auto_t *report = NULL;

    mixed_watch(bench->mixed);
    if (mixed_restart(bench->mixed, &bench->pings.out, began, err) < 0)
        return -1;
    while (!(report = mixed_take_report(bench->mixed))) {
        if (ping(bench, 0, err) < 0)
            return -1;
        if (clock_now_ns() > began + (int64_t)PATIENCE_MS * MS)
            return fail(err, ERR_TIMEOUT, "a restart is not answered within %d ms", PATIENCE_MS);
    }
    if (!json_is_true(json_object_get(report, "success")))
        return fail(err, ERR_INTERNAL, "a restart has failed");
    add(bench, BLACKOUT, (int64_t)(json_number_value(json_object_get(report, "blackout_ms")) * MS));
    if (ping(bench, clock_now_ns() + (int64_t)PAUSE_MS * MS, err) < 0)
        return -1;
    add(bench, GAP, mixed_longest_gap(bench->mixed) - (int64_t)(mixed_usual_gap_us(bench->mixed) * 1000));
    crowd_call(bench->crowd); /* nobody has been forgotten */
    return crowd_await(bench->crowd, err);
}

/* Those that are on their way are answered yet. */
static int close_pinger(struct bench *bench, struct theseus_error *err) {
    static const unsigned nothing[MIXED_RESTART] = {0};
    int64_t end = clock_now_ns() + (int64_t)PATIENCE_MS * MS;

    mixed_set_rates(bench->mixed, nothing, clock_now_ns());
    while (mixed_stats(bench->mixed).answered < mixed_stats(bench->mixed).sent && clock_now_ns() < end)
        if (ping(bench, clock_now_ns() + MS, err) < 0)
            return -1;
    (void)close(bench->pinger.to);
    bench->pinger = (struct child){0};
    return 0;
}

static int restarts(struct bench *bench, struct theseus_error *err) {
    if (bench->options->restarts == 0)
        return 0;
    if (open_pinger(bench, err) < 0 || ping(bench, clock_now_ns() + (int64_t)FIRST_REST_MS * MS, err) < 0)
        return -1;
    for (unsigned i = 0; i < bench->options->restarts; i++)
        if (restart(bench, err) < 0)
            return -1;
    return close_pinger(bench, err);
}

/* ---- kill -9 ---- */

static int kill_once(struct bench *bench, struct theseus_error *err) {
    struct samples *relays = &bench->samples[RELAYS_BACK], *sockets = &bench->samples[BACK];
    size_t first_relay = relays->count, first_socket = sockets->count;
    int64_t longest = 0;

    crowd_call(bench->crowd);
    int64_t since = clock_now_ns();
    if (kill(bench->server, SIGKILL) < 0)
        return fail_errno(err, "cannot kill the server");
    if (crowd_come_back(bench->crowd, since, relays, sockets, err) < 0)
        return -1;
    bench->server = crowd_server(bench->crowd);
    for (size_t i = first_relay; i < relays->count; i++)
        longest = relays->ns[i] > longest ? relays->ns[i] : longest;
    for (size_t i = first_socket; i < sockets->count; i++)
        longest = sockets->ns[i] > longest ? sockets->ns[i] : longest;
    add(bench, ALL_BACK, longest);
    return 0;
}

/* ---- the run ---- */

/* It is ours since those that have started it are gone (PR_SET_CHILD_SUBREAPER). */
static int stop_server(struct bench *bench, struct theseus_error *err) {
    CLEANUP(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, bench->server, 0);

    if (pidfd < 0 || kill(bench->server, SIGTERM) < 0)
        return fail_errno(err, "cannot stop the server");
    if (poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, LEAVE_MS) != 1)
        return fail(err, ERR_TIMEOUT, "the server does not leave within %d ms", LEAVE_MS);
    bench->server = 0;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return 0;
}

/* From the memory with one client to that with all of them. */
static int begin(struct bench *bench, struct theseus_error *err) {
    const struct options *options = bench->options;

    if (crowd_start_relays(bench->crowd, options->connect, err) < 0 || crowd_connect(bench->crowd, 1, err) < 0)
        return -1;
    bench->server = crowd_server(bench->crowd);
    if (options->memory)
        bench->rss_kb[0] = still_rss_kb(bench->server);
    if (crowd_connect(bench->crowd, options->clients - 1, err) < 0)
        return -1;
    if (options->memory)
        bench->rss_kb[1] = still_rss_kb(bench->server);
    return 0;
}

static void print(struct bench *bench) {
    struct crowd_stats stats = crowd_stats(bench->crowd);
    struct mixed_stats pings = mixed_stats(bench->mixed);
    double each = (double)(bench->rss_kb[1] - bench->rss_kb[0]) / (bench->options->clients - 1);
    json_auto_t *fault = json_string(stats.first_fault);
    CLEANUP(free) char *quoted = fault ? json_dumps(fault, JSON_ENCODE_ANY) : NULL;

    printf("{\"clients\":%u,\"relays\":%u,\"requests\":%u,\"answered\":%u,\"uncertain\":%u,\"faults\":%u,"
           "\"pings_lost\":%u,\"kb_each\":%.2f,",
           bench->options->clients, bench->options->relays, stats.asked, stats.answered, stats.uncertain, stats.faults,
           pings.sent - pings.answered, each);
    for (int i = 0; i < MEASURES; i++) {
        struct samples *samples = &bench->samples[i];
        samples_sort(samples);
        printf("\"%s_ms\":{\"p25\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},", measures[i],
               samples_percentile_us(samples, 25) / 1000, samples_percentile_us(samples, 50) / 1000,
               samples_percentile_us(samples, 99) / 1000, samples_percentile_us(samples, 100) / 1000);
    }
    printf("\"first_fault\":%s}\n", quoted ? quoted : "null");
}

static int run(const struct options *options, struct theseus_error *err) {
    CLEANUP(bench_fini) struct bench bench;

    bench_init(&bench, options);
    if (begin(&bench, err) < 0 || restarts(&bench, err) < 0)
        return -1;
    for (unsigned i = 0; i < options->kills; i++)
        if (kill_once(&bench, err) < 0)
            return -1;
    print(&bench);
    if (crowd_stop_relays(bench.crowd, err) < 0)
        return -1;
    return stop_server(&bench, err);
}

static int parse(int argc, char *argv[], struct options *options) {
    int c;

    *options = (struct options){.clients = 1000, .relays = 8};
    while ((c = getopt(argc, argv, "+c:r:n:k:u:m")) != -1)
        switch (c) {
        case 'c':
            options->clients = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            options->relays = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            options->restarts = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'k':
            options->kills = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'm':
            options->memory = true;
            break;
        case 'u':
            options->socket = optarg;
            break;
        default:
            return -1;
        }
    options->connect = argv + optind;
    return optind < argc && options->clients > 1 && options->relays > 0 && options->socket ? 0 : -1;
}

static void raise_files(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char *argv[]) {
    struct theseus_error err = {0};
    struct options options;

    if (parse(argc, argv, &options) < 0) {
        (void)fputs("usage: clients [-c CLIENTS (1000)] [-r behind a `theseus connect` (8)] [-n RESTARTS] [-k KILLS]\n"
                    "               [-m: memory] -u SOCKET -- THESEUS connect ARGS...\n",
                    stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    raise_files();
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || run(&options, &err) < 0) {
        (void)fprintf(stderr, "clients: %s\n", err.message);
        return 1;
    }
    return 0;
}
