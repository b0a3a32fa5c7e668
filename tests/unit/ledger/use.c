#include "test.h"

#include "ledger/ledger.h"

#include <pthread.h>
#include <stdatomic.h>

#include "ledger/samples.h"

struct seen {
    const struct record_kind *kind;
    uint64_t seeds[64];
    size_t count;
    struct ledger *ledger; /* not NULL: each record that is visited is dropped */
};

static void see(void *arg, const void *record) {
    struct seen *seen = arg;
    uint64_t seed = 0;

    while (seed < 1000 && !sample_is(seen->kind, record, seed))
        seed++;
    assert_true(seed < 1000);
    seen->seeds[seen->count++] = seed;
    if (seen->ledger)
        assert_int_equal(ledger_drop(seen->ledger, seen->kind, record, NULL), 0);
}

static void put(struct ledger *ledger, const struct record_kind *kind, uint64_t seed) {
    CLEANUP(free) void *record = sample_new(kind, seed);

    assert_int_equal(ledger_put(ledger, kind, record, NULL), 0);
}

static void drop(struct ledger *ledger, const struct record_kind *kind, uint64_t seed) {
    CLEANUP(free) void *record = sample_new(kind, seed);

    assert_int_equal(ledger_drop(ledger, kind, record, NULL), 0);
}

static void keeps_kinds_and_keys_apart(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    size_t count;
    const struct record_kind *const *kinds = all_kinds(&count);

    (void)state;
    for (uint64_t seed = 3; seed > 0; seed--)
        for (size_t i = 0; i < count; i++)
            put(ledger, kinds[i], seed);
    assert_int_equal(ledger_count(ledger), 3 * count);
    for (size_t i = 0; i < count; i++) {
        struct seen seen = {.kind = kinds[i]};
        ledger_each(ledger, kinds[i], see, &seen);
        assert_int_equal(seen.count, 3);
        for (size_t j = 0; j < 3; j++)
            assert_int_equal(seen.seeds[j], j + 1);
        drop(ledger, kinds[i], 2);
        drop(ledger, kinds[i], 2); /* there is none any more: harmless */
    }
    assert_int_equal(ledger_count(ledger), 2 * count);
}

static void visits_numbers_in_their_order(void **state) {
    static const uint64_t seeds[] = {300, 2, 256, 1, 255, 65, 64, 63, 999};
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct seen seen = {.kind = &request_kind, .ledger = ledger};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(seeds); i++)
        put(ledger, &request_kind, seeds[i]);
    ledger_each(ledger, &request_kind, see, &seen);
    assert_int_equal(seen.count, ARRAY_SIZE(seeds));
    for (size_t i = 1; i < seen.count; i++)
        assert_true(seen.seeds[i - 1] < seen.seeds[i]);
    assert_int_equal(ledger_count(ledger), 0); /* each was dropped while it was visited */
}

static void note_value(void *arg, const void *record) {
    *(uint64_t *)arg = ((const struct counter_record *)record)->value;
}

static uint64_t value_of(struct ledger *ledger) {
    uint64_t value = 0;

    ledger_each(ledger, &counter_kind, note_value, &value);
    return value;
}

static void keeps_the_last_of_one_key(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct counter_record record = {span_of("n"), 0};

    (void)state;
    for (record.value = 1; record.value <= 5; record.value++)
        assert_int_equal(ledger_put(ledger, &counter_kind, &record, NULL), 0);
    assert_int_equal(ledger_count(ledger), 1);
    assert_int_equal(value_of(ledger), 5);
}

static void does_what_a_batch_says_in_its_order(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(batch_fini) struct batch batch = {0};
    struct counter_record record = {span_of("n"), 1};

    (void)state;
    batch_put(&batch, &counter_kind, &record);
    batch_drop(&batch, &counter_kind, &record);
    record.value = 2;
    batch_put(&batch, &counter_kind, &record);
    assert_int_equal(ledger_count(ledger), 0);
    assert_int_equal(ledger_commit(ledger, &batch, NULL), 0);
    assert_int_equal(value_of(ledger), 2);
    batch_drop(&batch, &counter_kind, &record); /* the batch is empty again */
    ledger_enter(ledger);
    assert_int_equal(ledger_commit_locked(ledger, &batch, NULL), 0);
    ledger_leave(ledger);
    assert_int_equal(ledger_count(ledger), 0);
    assert_int_equal(ledger_commit(ledger, &batch, NULL), 0);
}

static void does_nothing_of_a_batch_that_failed(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(batch_fini) struct batch batch = {0};
    struct counter_record record = {span_of("n"), 1};
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(ledger_put(ledger, &counter_kind, &record, NULL), 0);
    record.value = 2;
    batch_put(&batch, &counter_kind, &record);
    batch_put(&batch, &counter_kind, &(struct counter_record){span_of("other"), 3});
    batch.failed = true;
    assert_int_equal(ledger_commit(ledger, &batch, &err), -1);
    assert_int_equal(err.code, ERR_MEMORY);
    assert_int_equal(ledger_count(ledger), 1);
    assert_int_equal(value_of(ledger), 1);
    assert_int_equal(ledger_commit(ledger, &batch, NULL), 0); /* what had failed is forgotten */
    assert_int_equal(value_of(ledger), 1);
}

enum { THREADS = 4, ROUNDS = 2000 };

struct shared {
    struct ledger *ledger;
    atomic_int number;
    atomic_bool done;
};

/* Two records that are there together or not at all. */
static void *put_and_drop_pairs(void *arg) {
    struct shared *shared = arg;
    uint64_t mine = (uint64_t)atomic_fetch_add(&shared->number, 1) + 1;

    for (uint64_t i = 0; i < ROUNDS; i++) {
        CLEANUP(batch_fini) struct batch batch = {0};
        struct run_record one = {.conn = mine, .offset = i, .index = 1};
        struct run_record two = {.conn = mine, .offset = i, .index = 2};
        batch_put(&batch, &run_kind, &one);
        batch_put(&batch, &run_kind, &two);
        if (ledger_commit(shared->ledger, &batch, NULL) < 0)
            break;
        batch_drop(&batch, &run_kind, &one);
        batch_drop(&batch, &run_kind, &two);
        if (i % 10 && ledger_commit(shared->ledger, &batch, NULL) < 0)
            break;
    }
    return NULL;
}

static void note_index(void *arg, const void *record) {
    *(int64_t *)arg += ((const struct run_record *)record)->index == 1 ? 1 : -1;
}

static void *look_for_halves(void *arg) {
    struct shared *shared = arg;
    int64_t halves = 0;

    while (!atomic_load(&shared->done) && halves == 0)
        ledger_each(shared->ledger, &run_kind, note_index, &halves);
    return halves ? shared : NULL;
}

static void shows_batches_whole_to_every_thread(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct shared shared = {.ledger = ledger};
    pthread_t threads[THREADS], reader;
    void *halves;

    (void)state;
    assert_int_equal(pthread_create(&reader, NULL, look_for_halves, &shared), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_drop_pairs, &shared), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    atomic_store(&shared.done, true);
    assert_int_equal(pthread_join(reader, &halves), 0);
    assert_null(halves);
    assert_int_equal(ledger_count(ledger), 2 * THREADS * ROUNDS / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_kinds_and_keys_apart),          cmocka_unit_test(visits_numbers_in_their_order),
        cmocka_unit_test(keeps_the_last_of_one_key),           cmocka_unit_test(does_what_a_batch_says_in_its_order),
        cmocka_unit_test(does_nothing_of_a_batch_that_failed), cmocka_unit_test(shows_batches_whole_to_every_thread),
    };

    return cmocka_run_group_tests_name("ledger/use", tests, NULL, NULL);
}
