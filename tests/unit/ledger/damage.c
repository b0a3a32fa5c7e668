/* Somebody writes to the ledger's memory while it is in use: it goes on, and the next image has what is left. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "ledger/echo.h"

#include "facts.h"

enum { KEYS = 40, STEPS = 60, LONG_ONES = 300 };

static char text[3000];

static void put(struct ledger *ledger, uint64_t key, size_t len) {
    struct request_record record = {1, key, 0, {text, len}, 0};

    DONE(ledger_put(ledger, &request_kind, &record, &err_));
}

static void drop(struct ledger *ledger, uint64_t key) {
    struct request_record record = {.conn = 1, .offset = key};

    DONE(ledger_drop(ledger, &request_kind, &record, &err_));
}

static void look(void *arg, const void *record) {
    const struct request_record *request = record;

    assert_true(request->text.len <= sizeof(text));
    assert_true(request->text.len == 0 || memcmp(request->text.data, text, request->text.len) == 0);
    ++*(size_t *)arg;
}

/* Through the descriptor, so that what is sealed is hit as well. */
static void scribble(const struct ledger *ledger, unsigned *seed, bool echo) {
    const struct journal *journal = &ledger->journal;
    const struct extent *last = journal_extent(journal, journal->last);
    size_t front = echo ? sizeof(struct format_head) : FORMAT_FRONT;
    size_t from = rand_r(seed) % 4 == 0 ? front : FORMAT_FRONT + (size_t)last->first * SEGMENT_BYTES;
    size_t room = from == front && echo ? ECHO_BYTES : journal->offset;
    char bytes[64];
    size_t len = 1 + (size_t)rand_r(seed) % (rand_r(seed) % 2 ? 2 : sizeof(bytes));

    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)rand_r(seed);
    off_t at = (off_t)(from + (size_t)rand_r(seed) % (room + 1));
    assert_int_equal(pwrite(ledger_fd(ledger), bytes, len, at), len);
}

static void work(struct ledger *ledger, unsigned *seed) {
    uint64_t key = (uint64_t)rand_r(seed) % KEYS;
    uint64_t digest;
    size_t seen = 0;

    switch (rand_r(seed) % 6) {
    case 0:
        drop(ledger, key);
        break;
    case 1:
        ledger_each(ledger, &request_kind, look, &seen);
        assert_true(seen <= KEYS);
        break;
    case 2:
        ledger_digest(ledger, &digest);
        break;
    case 3:
        if (rand_r(seed) % 8 == 0)
            DONE(ledger_compact(ledger, &err_));
        break;
    default:
        put(ledger, key, (size_t)rand_r(seed) % sizeof(text));
    }
}

static void use(unsigned seed, bool echo) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    size_t seen = 0;

    for (uint64_t key = 0; key < KEYS; key++)
        put(ledger, key, 30 * key);
    for (int i = 0; i < STEPS; i++) {
        if (rand_r(&seed) % 10 == 0)
            scribble(ledger, &seed, echo);
        work(ledger, &seed);
    }
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    ledger_each(again, &request_kind, look, &seen);
    assert_true(seen <= KEYS);
    put_counter(again, "new", 7);
    DONE(ledger_compact(again, &err_));
    CLEANUP(ledger_free) struct ledger *third = come_back(again);
    assert_int_equal(ledger_damaged(third), 0);
    assert_int_equal(counter_of(third, "new"), 7);
}

static void goes_on_while_its_memory_is_written_to(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 3000; seed++)
        use(seed, true);
}

static size_t record_at(const struct ledger *ledger, uint64_t key) {
    struct request_record record = {.conn = 1, .offset = key};
    CLEANUP(batch_fini) struct batch batch = {0};

    batch_drop(&batch, &request_kind, &record);
    struct span full = format_key((const void *)(batch.ops.data + batch.ops.start));
    uint64_t place = index_get(ledger->fold.index, index_tag(full), full);
    return (size_t)(journal_at(&ledger->journal, place) - ledger->journal.space.base);
}

/* In a process that goes on: what is read is what was written. */
static void takes_from_the_echo_what_was_written_over(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    size_t seen = 0;

    (void)state;
    for (uint64_t key = 0; key < KEYS; key++)
        put(ledger, key, 400);
    ledger_each(ledger, &request_kind, look, &seen);
    for (uint64_t key = 0; key < KEYS; key++)
        ledger->journal.space.base[record_at(ledger, key) + 8 + key] ^= 0x10;
    seen = 0;
    ledger_each(ledger, &request_kind, look, &seen);
    assert_int_equal(seen, KEYS);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_damaged(again) + ledger_mended(again), 0);
}

/* Through the descriptor, for it may be sealed. */
static void write_over(const struct ledger *ledger, size_t at) {
    const char byte = (char)(ledger->journal.space.base[at] ^ 0x10);

    assert_int_equal(pwrite(ledger_fd(ledger), &byte, 1, (off_t)at), 1);
}

/* Long records have none, and do not take that of others. */
static void keeps_the_echo_for_short_records(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    size_t seen = 0;

    (void)state;
    for (uint64_t key = 0; key < KEYS; key++)
        put(ledger, key, 400);
    for (uint64_t key = KEYS; key < KEYS + LONG_ONES; key++)
        put(ledger, key, 2000);
    ledger_each(ledger, &request_kind, look, &seen);
    assert_int_equal(ledger->journal.first, ledger->journal.last);
    for (uint64_t key = 0; key < KEYS; key++)
        write_over(ledger, record_at(ledger, key) + 8 + key);
    write_over(ledger, record_at(ledger, KEYS) + 100);
    seen = 0;
    ledger_each(ledger, &request_kind, look, &seen);
    assert_int_equal(seen, KEYS + LONG_ONES - 1);
}

/* Long before the segment is full. */
static void seals_what_has_no_echo(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    const struct space *space = &ledger->journal.space;

    (void)state;
    for (uint64_t key = 0; ledger->journal.offset < SEGMENT_BYTES * 3 / 4; key++)
        put(ledger, key, 2000);
    assert_int_equal(ledger->journal.first, ledger->journal.last);
    const struct segment *last = &space->segments[journal_extent(&ledger->journal, ledger->journal.last)->first];
    assert_true(last->sealed >= SEGMENT_BYTES / 2 - PAGE_BYTES_MOST);
    assert_true(last->sealed <= ledger->journal.offset);
}

static void leaves_out_what_has_no_echo(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(ledger_free) struct ledger *copy = NULL;
    uint64_t digest, copied;
    size_t seen = 0;
    int fd = -1;

    (void)state;
    for (uint64_t key = 0; key < KEYS; key++)
        put(ledger, key, 500);
    (void)ledger_count(ledger);
    memset(ledger->journal.space.base + sizeof(struct format_head), 0, ECHO_BYTES);
    ledger->journal.space.base[record_at(ledger, 7) + 100] ^= 0x10;
    ledger_each(ledger, &request_kind, look, &seen);
    assert_int_equal(seen, KEYS - 1);
    ledger_digest(ledger, &digest);
    DONE(ledger_copy(ledger, &fd, &err_));
    DONE(ledger_open(&copy, fd, &err_));
    ledger_digest(copy, &copied);
    assert_true(digest == copied);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_damaged(again), 1);
    assert_int_equal(ledger_lost(again), 1);
    assert_int_equal(ledger_count(again), KEYS - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_while_its_memory_is_written_to),
        cmocka_unit_test(takes_from_the_echo_what_was_written_over),
        cmocka_unit_test(keeps_the_echo_for_short_records),
        cmocka_unit_test(seals_what_has_no_echo),
        cmocka_unit_test(leaves_out_what_has_no_echo),
    };
    log_set_level(LOG_ERROR + 1);
    memset(text, 'x', sizeof(text));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
