/* Four threads commit, compaction goes on beside them, and readers look: nobody sees half of anything. */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>

#include "facts.h"

enum { THREADS = 4, COMMITS = 100000, KEYS = 200, LARGE = 400000 };

struct worker {
    struct ledger *ledger;
    uint64_t number, seed;
    uint64_t values[KEYS]; /* the model: what this thread has put last, 0: dropped */
    bool failed;
};

struct watch {
    struct ledger *ledger;
    _Atomic bool stop;
    size_t looks, torn;
};

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Two records under one key, always put and dropped together, with the same value in both. */
static void change(struct worker *worker, struct batch *batch, uint64_t key, uint64_t value) {
    struct run_record run = {.conn = worker->number, .offset = key, .attempts = value};
    struct progress_record progress = {worker->number, key, 0, value};

    if (value) {
        batch_put(batch, &run_kind, &run);
        batch_put(batch, &progress_kind, &progress);
    } else {
        batch_drop(batch, &run_kind, &run);
        batch_drop(batch, &progress_kind, &progress);
    }
}

/* Now and then one that is copied outside of the gate. */
static void put_large(struct worker *worker, struct batch *batch, uint64_t i) {
    static const char text[LARGE];
    struct request_record record = {worker->number, i / 1000 % 3, 0, {text, LARGE - i % 7}, 0};

    if (i % 1000 == 1)
        batch_put(batch, &request_kind, &record);
}

static void take_attempts(void *arg, const void *record) {
    *(uint64_t *)arg = ((const struct run_record *)record)->attempts;
}

/* What this thread has put is there, whatever compaction is doing with it. */
static bool is_there(const struct worker *worker, uint64_t key) {
    struct run_record run = {.conn = worker->number, .offset = key};
    uint64_t value = 0;

    (void)ledger_find(worker->ledger, &run_kind, &run, take_attempts, &value);
    return value == worker->values[key];
}

static void *work(void *arg) {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct worker *worker = arg;

    for (uint64_t i = 1; i <= COMMITS; i++) {
        uint64_t key = next_random(&worker->seed) % KEYS;
        uint64_t value = next_random(&worker->seed) % 3 ? i : 0;
        struct theseus_error err = {0};
        int r;
        change(worker, &batch, key, value);
        put_large(worker, &batch, i);
        if (i % 2) {
            r = ledger_commit(worker->ledger, &batch, &err);
        } else {
            ledger_enter(worker->ledger);
            r = ledger_commit_locked(worker->ledger, &batch, &err);
            ledger_leave(worker->ledger);
        }
        worker->failed |= r < 0;
        worker->values[key] = value;
        worker->failed |= !is_there(worker, next_random(&worker->seed) % KEYS);
    }
    return NULL;
}

struct look {
    uint64_t runs[THREADS + 1][KEYS], progress[THREADS + 1][KEYS];
};

static void look_at_run(void *arg, const void *record) {
    const struct run_record *run = record;

    ((struct look *)arg)->runs[run->conn][run->offset] = run->attempts;
}

static void look_at_progress(void *arg, const void *record) {
    const struct progress_record *progress = record;

    ((struct look *)arg)->progress[progress->conn][progress->offset] = progress->value;
}

static void *compact(void *arg) {
    struct watch *watched = arg;

    while (ledger_compact(watched->ledger, NULL) == 0 && !atomic_load(&watched->stop))
        ;
    return NULL;
}

/* A copy is a picture of one moment. */
static void *watch(void *arg) {
    CLEANUP(free) struct look *look = xcalloc(1, sizeof(*look));
    struct watch *watched = arg;

    do { /* once at least, however late it comes */
        CLEANUP(ledger_free) struct ledger *copy = NULL;
        int fd = -1;
        if (ledger_copy(watched->ledger, &fd, NULL) < 0 || ledger_open(&copy, fd, NULL) < 0) {
            watched->torn++;
            return NULL;
        }
        memset(look, 0, sizeof(*look));
        ledger_each(copy, &run_kind, look_at_run, look);
        ledger_each(copy, &progress_kind, look_at_progress, look);
        watched->torn += memcmp(look->runs, look->progress, sizeof(look->runs)) != 0;
        watched->looks++;
    } while (!atomic_load(&watched->stop));
    return NULL;
}

static void assert_model(struct ledger *ledger, const struct worker *workers) {
    CLEANUP(free) struct look *look = xcalloc(1, sizeof(*look));

    ledger_each(ledger, &run_kind, look_at_run, look);
    ledger_each(ledger, &progress_kind, look_at_progress, look);
    for (size_t i = 0; i < THREADS; i++) {
        assert_false(workers[i].failed);
        assert_memory_equal(look->runs[workers[i].number], workers[i].values, sizeof(workers[i].values));
        assert_memory_equal(look->progress[workers[i].number], workers[i].values, sizeof(workers[i].values));
    }
}

static void agrees_with_what_every_thread_did(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(free) struct worker *workers = xcalloc(THREADS, sizeof(*workers));
    struct watch watched = {.ledger = ledger};
    pthread_t threads[THREADS], watcher, compacter;

    (void)state;
    assert_int_equal(pthread_create(&watcher, NULL, watch, &watched), 0);
    assert_int_equal(pthread_create(&compacter, NULL, compact, &watched), 0);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.ledger = ledger, .number = i + 1, .seed = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    atomic_store(&watched.stop, true);
    (void)pthread_join(watcher, NULL);
    (void)pthread_join(compacter, NULL);
    assert_true(watched.looks > 0);
    assert_int_equal(watched.torn, 0);
    assert_model(ledger, workers);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_damaged(again), 0);
    assert_model(again, workers);
    assert_int_equal(ledger_stats(again).live_bytes, ledger_stats(ledger).live_bytes);
    assert_true(digest_of(again) == digest_of(ledger));
    assert_true(ledger_stats(ledger).compactions > 0);
}

static void refuses_a_batch_for_which_there_was_no_memory(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(batch_fini) struct batch batch = {.failed = true};
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(ledger_commit(ledger, &batch, &err), -1);
    assert_int_equal(err.code, ERR_MEMORY);
    DONE(ledger_commit(ledger, &batch, &err_)); /* it is a new one now */
    assert_int_equal(ledger_count(ledger), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_what_every_thread_did),
        cmocka_unit_test(refuses_a_batch_for_which_there_was_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
