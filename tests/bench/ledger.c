/*
 * What the ledger costs: ledger [SECONDS]
 *
 * One request in the terms of the ledger, a put and the drop of it, each a commit of its own; with short and with long
 * payloads, from one thread and from four. Beside it, what copying and checksumming such a payload costs alone. Then
 * what coming back costs, for ledgers of growing size. Times of one thread are processor time, so that what else the
 * machine does is left out of them.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "ledger/ledger.h"

enum { THREADS_MAX = 4, LONG_BYTES = 4096, PAUSES = 1 << 20 };

struct run {
    struct ledger *ledger;
    size_t bytes;
    uint64_t number;
    int64_t end_ns, longest_ns;
    uint64_t pairs;
};

static char payload[LONG_BYTES];

static void need(int r, const struct theseus_error *err) {
    if (r == 0)
        return;
    (void)fprintf(stderr, "ledger: %s\n", err->message);
    exit(1);
}

static int64_t cpu_ns(void) {
    struct timespec used;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static void pair(struct run *run, struct batch *batch, uint64_t offset) {
    struct request_record record = {run->number, offset, 0, {payload, run->bytes}, 0};
    struct theseus_error err = {0};

    batch_put(batch, &request_kind, &record);
    need(ledger_commit(run->ledger, batch, &err), &err);
    batch_drop(batch, &request_kind, &record);
    need(ledger_commit(run->ledger, batch, &err), &err);
}

static void *commit(void *arg) {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct run *run = arg;
    int64_t now = clock_now_ns();

    while (now < run->end_ns) {
        for (int i = 0; i < 16; i++)
            pair(run, &batch, run->pairs++);
        int64_t then = clock_now_ns();
        if (then - now > run->longest_ns)
            run->longest_ns = then - now;
        now = then;
    }
    return NULL;
}

static void measure(double seconds, size_t bytes, int threads) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct run runs[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    int64_t start = clock_now_ns(), cpu = cpu_ns(), longest = 0;
    uint64_t pairs = 0;

    for (int i = 0; i < threads; i++) {
        runs[i] = (struct run){ledger, bytes, (uint64_t)i + 1, start + (int64_t)(seconds * 1e9), 0, 0};
        (void)pthread_create(&ids[i], NULL, commit, &runs[i]);
    }
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        pairs += runs[i].pairs;
        longest = runs[i].longest_ns > longest ? runs[i].longest_ns : longest;
    }
    double ns = (double)(clock_now_ns() - start) / (double)pairs, used = (double)(cpu_ns() - cpu) / (double)pairs;
    struct ledger_stats stats = ledger_stats(ledger);
    (void)printf(
        "put+drop %4zu B, %d thread%s: %6.0f ns, of a processor %6.0f ns, longest 16 pairs %6.1f us, %zu KiB\n", bytes,
        threads, threads == 1 ? " " : "s", ns, used, (double)longest / 1e3, stats.used_bytes >> 10);
}

static void floor_of(size_t bytes) {
    static char room[1 << 20];
    enum { ROUNDS = 1000000 };
    volatile uint64_t sum = 0;
    int64_t start = cpu_ns();

    for (size_t i = 0; i < ROUNDS; i++) {
        char *to = room + i * bytes % (sizeof(room) - LONG_BYTES);
        memcpy(to, payload, bytes);
        sum += hash_u64((struct span){to, bytes});
    }
    (void)printf("copy and checksum %4zu B:    %6.1f ns\n", bytes, (double)(cpu_ns() - start) / ROUNDS);
}

static void count(void *arg, const void *record) {
    (void)record;
    ++*(size_t *)arg;
}

static void come_back(size_t records, size_t bytes) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(ledger_free) struct ledger *again = NULL;
    CLEANUP(batch_fini) struct batch batch = {0};
    struct theseus_error err = {0};
    uint64_t digest;
    size_t seen = 0;

    for (uint64_t i = 0; i < records; i++) {
        struct request_record record = {1 + i % 3, i, 0, {payload, bytes}, 0};
        batch_put(&batch, &request_kind, &record);
        need(ledger_commit(ledger, &batch, &err), &err);
    }
    int64_t start = cpu_ns();
    need(ledger_open(&again, dup(ledger_fd(ledger)), &err), &err);
    int64_t opened = cpu_ns();
    ledger_each(again, &request_kind, count, &seen);
    int64_t visited = cpu_ns();
    ledger_digest(again, &digest);
    int64_t digested = cpu_ns();
    need(ledger_compact(again, &err), &err);
    int64_t compacted = cpu_ns();
    (void)printf("%7zu records of %4zu B: open %8.3f ms, each %8.3f ms, digest %8.3f ms, compact %8.3f ms\n", seen,
                 bytes, (double)(opened - start) / 1e6, (double)(visited - opened) / 1e6,
                 (double)(digested - visited) / 1e6, (double)(compacted - digested) / 1e6);
}

int main(int argc, char *argv[]) {
    double seconds = argc > 1 ? atof(argv[1]) : 1;

    memset(payload, 'x', sizeof(payload));
    floor_of(32);
    floor_of(LONG_BYTES);
    for (int threads = 1; threads <= THREADS_MAX; threads += THREADS_MAX - 1) {
        measure(seconds, 32, threads);
        measure(seconds, LONG_BYTES, threads);
    }
    for (size_t records = 1000; records <= 1000000; records *= 10)
        come_back(records, 32);
    come_back(200, LONG_BYTES);
    come_back(2000, LONG_BYTES);
    come_back(20000, LONG_BYTES);
    return 0;
}
