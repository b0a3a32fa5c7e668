#include "test.h"

#include "ledger/compact.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/clock.h"
#include "facts.h"

enum { LOOKED_AT = 32 << 20 }; /* bytes of the log in which touched_bytes() counts */

static char text[1 << 20];

static void put_request(struct ledger *ledger, uint64_t offset, size_t len) {
    struct request_record record = {1, offset, 0, {text, len}, 0};

    DONE(ledger_put(ledger, &request_kind, &record, &err_));
}

static void drop_request(struct ledger *ledger, uint64_t offset) {
    struct request_record record = {.conn = 1, .offset = offset};

    DONE(ledger_drop(ledger, &request_kind, &record, &err_));
}

static uint64_t hash_requests(struct ledger *ledger) {
    uint64_t sum = 0;

    ledger_each(ledger, &request_kind, hash_request, &sum);
    return sum;
}

static void keeps_a_small_ledger_small(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    put_counter(ledger, "old", 1);
    for (uint64_t i = 0; i < 100000; i++) {
        put_request(ledger, i, 1000);
        drop_request(ledger, i);
        if (i % 1000 == 0)
            assert_true(ledger_stats(ledger).used_bytes <= 5 << 20);
    }
    assert_int_equal(ledger_count(ledger), 1);
    assert_int_equal(counter_of(ledger, "old"), 1);
    assert_true(ledger_stats(ledger).compactions > 50);
}

/* Of the log, what this process has touched: its share of the resident memory. */
static size_t touched_bytes(const struct ledger *ledger) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), count = LOOKED_AT / page;
    const size_t first = (size_t)space_segment(&ledger->journal.space, 0) / page;
    CLEANUP(free) uint64_t *pages = xcalloc(count, sizeof(*pages));
    CLEANUP(fd_close) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    const ssize_t len = (ssize_t)(count * sizeof(*pages));
    size_t touched = 0;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, pages, (size_t)len, (off_t)(first * sizeof(*pages))), len);
    for (size_t i = 0; i < count; i++)
        touched += pages[i] >> 62 != 0; /* it is in memory, or was swapped out */
    return touched * page;
}

/* So many pairs of a put and a drop, while `open` requests wait for their drop. */
static void come_and_go(struct ledger *ledger, uint64_t count, uint64_t open, size_t len) {
    for (uint64_t i = 0; i < count + open; i++) {
        if (i < count)
            put_request(ledger, i, len);
        if (i >= open)
            drop_request(ledger, i - open);
    }
}

static void works_in_the_same_few_pages(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    come_and_go(ledger, 5000, 1, 200);
    size_t touched = touched_bytes(ledger);
    assert_in_range(touched, 1, 512 << 10);
    come_and_go(ledger, 200000, 1, 200);
    assert_in_range(touched_bytes(ledger), touched, touched + (128 << 10));
    put_request(ledger, UINT32_MAX, 20000); /* something that stays, and has to be carried along */
    put_counter(ledger, "old", 1);
    come_and_go(ledger, 200000, 8, 200);
    assert_in_range(touched_bytes(ledger), touched, 768 << 10);
    assert_int_equal(ledger_count(ledger), 2);
    assert_int_equal(counter_of(ledger, "old"), 1);
}

/* A reader follows all there is: whoever commits finds nothing to follow, and compacts all the same. */
static void works_in_the_same_few_pages_whoever_reads(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    for (int i = 0; i < 2000; i++) {
        come_and_go(ledger, 20, 1, 200);
        assert_int_equal(counter_of(ledger, "none"), 0);
    }
    assert_in_range(touched_bytes(ledger), 1, 512 << 10);
}

/* Many requests at a time, and long ones: as many pages as that takes. */
static void works_in_the_pages_that_its_records_need(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    put_counter(ledger, "old", 1);
    come_and_go(ledger, 2000, 64, 4096);
    size_t touched = touched_bytes(ledger);
    come_and_go(ledger, 50000, 64, 4096);
    assert_in_range(touched_bytes(ledger), touched, touched + (512 << 10));
    assert_in_range(touched_bytes(ledger), touched, 2 << 20);
}

static void uses_twice_what_lives_and_a_little(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    uint64_t seed = 1;

    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        put_request(ledger, (seed >> 33) % 8000, 1000);
        if (i % 5000 != 0)
            continue;
        struct ledger_stats stats = ledger_stats(ledger);
        assert_true(stats.used_bytes <= 2 * stats.live_bytes + (6 << 20));
    }
    assert_int_equal(ledger_count(ledger), 8000);
}

static void changes_no_record(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    for (uint64_t i = 0; i < 3000; i++)
        put_request(ledger, i, i % 7 == 0 ? 0 : i);
    for (uint64_t i = 0; i < 3000; i += 3)
        drop_request(ledger, i);
    uint64_t digest = digest_of(ledger), sum = hash_requests(ledger);
    for (int i = 0; i < 4; i++) {
        DONE(ledger_compact(ledger, &err_));
        assert_true(digest_of(ledger) == digest);
        assert_true(hash_requests(ledger) == sum);
        CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
        assert_true(digest_of(again) == digest);
    }
    struct ledger_stats stats = ledger_stats(ledger);
    assert_true(stats.used_bytes <= stats.live_bytes + (3 << 20));
}

/* A drop is forgotten only when what it hides is gone. */
static void lets_nothing_rise_from_the_dead(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    bool there[500] = {false};
    uint64_t seed = 7;

    (void)state;
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 300; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            uint64_t offset = (seed >> 33) % ARRAY_SIZE(there);
            there[offset] = (seed >> 20) % 2 == 0;
            if (there[offset])
                put_request(ledger, offset, 2000);
            else
                drop_request(ledger, offset);
        }
        (void)pthread_mutex_lock(&ledger->lock);
        for (int i = 0; i < round % 9; i++)
            (void)compact_step_before(&ledger->fold, ledger->journal.last);
        (void)pthread_mutex_unlock(&ledger->lock);
        CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
        size_t count = 0;
        for (uint64_t i = 0; i < ARRAY_SIZE(there); i++)
            count += there[i];
        assert_int_equal(ledger_count(again), count);
        assert_true(digest_of(again) == digest_of(ledger));
    }
}

static void protect(const struct ledger *ledger, const struct extent *extent, int protection) {
    char *at = space_segment(&ledger->journal.space, extent->first);

    assert_int_equal(mprotect(at, (size_t)extent->count * SEGMENT_BYTES, protection), 0);
}

/* A write to any of them would end the test. What is no longer part of the log may be written to again. */
static void never_writes_to_a_sealed_segment(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct journal *journal = &ledger->journal;
    bool more = true;

    (void)state;
    for (uint64_t i = 0; i < 3000; i++)
        put_request(ledger, i, 2000);
    uint64_t last = journal->last;
    for (uint64_t order = journal->first; order < last; order++)
        protect(ledger, journal_extent(journal, order), PROT_READ);
    for (uint64_t i = 0; i < 300; i++)
        drop_request(ledger, i * 10);
    while (more) {
        struct extent first = *journal_extent(journal, journal->first);
        uint64_t order = journal->first;
        (void)pthread_mutex_lock(&ledger->lock);
        more = compact_step_before(&ledger->fold, last);
        (void)pthread_mutex_unlock(&ledger->lock);
        if (journal->first != order)
            protect(ledger, &first, PROT_READ | PROT_WRITE);
    }
    assert_true(journal->first >= last);
    assert_int_equal(ledger_count(ledger), 2700);
}

static void moves_a_large_record(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    for (uint64_t i = 0; i < 8; i++) {
        put_request(ledger, i, sizeof(text) - 7 * i);
        put_request(ledger, 100 + i, 10);
    }
    uint64_t digest = digest_of(ledger);
    for (int i = 0; i < 3; i++)
        DONE(ledger_compact(ledger, &err_));
    assert_true(digest_of(ledger) == digest);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_true(digest_of(again) == digest);
}

static void fill_and_drop(struct ledger *ledger) {
    for (uint64_t i = 0; i < 5000; i++) {
        put_request(ledger, i, 1000);
        drop_request(ledger, i);
    }
}

/* What a burst has filled is given back to the last segment, and nothing else changes. */
static void shrinks(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct stat before, after;

    (void)state;
    for (uint64_t i = 0; i < 200; i++)
        put_request(ledger, i, 100000);
    for (uint64_t i = 10; i < 200; i++)
        drop_request(ledger, i);
    uint64_t digest = digest_of(ledger);
    assert_int_equal(fstat(ledger_fd(ledger), &before), 0);
    assert_true(before.st_blocks * 512 > 18 << 20);
    DONE(ledger_shrink(ledger, &err_));
    assert_int_equal(fstat(ledger_fd(ledger), &after), 0);
    assert_true(after.st_blocks * 512 <= 9 << 20);
    assert_true(digest_of(ledger) == digest);
    put_request(ledger, 1000, 100000);
    drop_request(ledger, 1000);
    assert_true(digest_of(ledger) == digest);
}

static void leaves_what_is_being_read(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(free) struct item *items = NULL;
    int pin;

    (void)state;
    put_request(ledger, 7, 1000);
    size_t count = ledger_pin(ledger, request_kind.number, &items, &pin);
    assert_int_equal(count, 1);
    uint64_t check = journal_record(&ledger->journal, items[0].place)->check;
    drop_request(ledger, 7);
    fill_and_drop(ledger);
    DONE(ledger_compact(ledger, &err_));
    assert_int_equal(ledger_count(ledger), 0);
    assert_true(ledger->journal.first <= place_order(items[0].place));
    assert_true(format_record_check(journal_record(&ledger->journal, items[0].place)) == check);
    ledger_unpin(ledger, pin);
    assert_true(ledger->journal.first > place_order(items[0].place));
}

/* There is a reader at every moment, and none that stays. */
static void drops_what_the_readers_of_the_moment_cannot_have_found(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct item *items;
    int pin, next;

    (void)state;
    (void)ledger_pin(ledger, 0, &items, &pin);
    free(items);
    for (int i = 0; i < 50; i++) {
        fill_and_drop(ledger);
        (void)ledger_pin(ledger, 0, &items, &next);
        free(items);
        ledger_unpin(ledger, pin);
        pin = next;
        assert_true(ledger_stats(ledger).used_bytes <= 24 << 20);
    }
    ledger_unpin(ledger, pin);
}

static int open_at_start(struct ledger **ret_again, int fd) {
    struct theseus_error err = {0};

    return ledger_open(ret_again, fd, &err);
}

/* At every step of it another image could take over. */
static void can_be_interrupted_at_every_step(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    for (uint64_t i = 0; i < 2000; i++)
        put_request(ledger, i % 1500, 1500);
    uint64_t digest = digest_of(ledger), last = ledger->journal.last;
    for (bool more = true; more;) {
        (void)pthread_mutex_lock(&ledger->lock);
        more = compact_step_before(&ledger->fold, last);
        (void)pthread_mutex_unlock(&ledger->lock);
        CLEANUP(ledger_free) struct ledger *copy = NULL;
        CLEANUP(free) char *bytes = NULL;
        struct stat stat;
        assert_int_equal(fstat(ledger_fd(ledger), &stat), 0);
        bytes = xcalloc(1, (size_t)stat.st_size);
        assert_int_equal(pread(ledger_fd(ledger), bytes, (size_t)stat.st_size, 0), stat.st_size);
        int fd = memfd_create("taken-over", MFD_CLOEXEC);
        assert_int_equal(pwrite(fd, bytes, (size_t)stat.st_size, 0), stat.st_size);
        assert_int_equal(open_at_start(&copy, fd), 0);
        assert_int_equal(ledger_damaged(copy), 0);
        assert_true(digest_of(copy) == digest);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_small_ledger_small),
        cmocka_unit_test(works_in_the_same_few_pages),
        cmocka_unit_test(works_in_the_pages_that_its_records_need),
        cmocka_unit_test(works_in_the_same_few_pages_whoever_reads),
        cmocka_unit_test(uses_twice_what_lives_and_a_little),
        cmocka_unit_test(changes_no_record),
        cmocka_unit_test(lets_nothing_rise_from_the_dead),
        cmocka_unit_test(never_writes_to_a_sealed_segment),
        cmocka_unit_test(moves_a_large_record),
        cmocka_unit_test(shrinks),
        cmocka_unit_test(leaves_what_is_being_read),
        cmocka_unit_test(drops_what_the_readers_of_the_moment_cannot_have_found),
        cmocka_unit_test(can_be_interrupted_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
