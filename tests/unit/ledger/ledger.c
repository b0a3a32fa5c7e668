#include "test.h"

#include "ledger/ledger.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/hash.h"
#include "facts.h"

static void finds_what_was_put_and_not_what_was_dropped(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    put_counter(ledger, "boots", 7);
    put_counter(ledger, "conns", 1);
    put_counter(ledger, "conns", 2);
    assert_int_equal(counter_of(ledger, "boots"), 7);
    assert_int_equal(counter_of(ledger, "conns"), 2);
    drop_counter(ledger, "boots");
    assert_int_equal(counter_of(ledger, "boots"), 0);
    assert_int_equal(ledger_count(ledger), 1);
    drop_counter(ledger, "nobody");
    assert_int_equal(ledger_count(ledger), 1);
}

static void commits_a_batch_as_a_whole(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(batch_fini) struct batch batch = {0};
    struct counter_record a = counter("a", 1), b = counter("b", 2);

    (void)state;
    put_counter(ledger, "a", 9);
    batch_drop(&batch, &counter_kind, &a);
    batch_put(&batch, &counter_kind, &b);
    batch_put(&batch, &counter_kind, &a);
    assert_int_equal(counter_of(ledger, "a"), 9);
    ledger_enter(ledger);
    DONE(ledger_commit_locked(ledger, &batch, &err_));
    ledger_leave(ledger);
    assert_int_equal(counter_of(ledger, "a"), 1);
    assert_int_equal(counter_of(ledger, "b"), 2);
    DONE(ledger_commit(ledger, &batch, &err_)); /* it is empty now */
    assert_int_equal(ledger_stats(ledger).commits, 3);
}

static void note_offset(void *arg, const void *record) {
    uint64_t **next = arg;

    *(*next)++ = ((const struct request_record *)record)->offset;
}

static void visits_in_the_order_of_the_keys(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    const uint64_t offsets[] = {256, 3, UINT64_MAX, 0, 70000, 255};
    const uint64_t sorted[] = {0, 3, 255, 256, 70000, UINT64_MAX};
    uint64_t seen[6], *next = seen;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        struct request_record record = {1, offsets[i], 0, span_of("x"), 0};
        DONE(ledger_put(ledger, &request_kind, &record, &err_));
    }
    put_counter(ledger, "other", 1); /* another kind is not visited */
    ledger_each(ledger, &request_kind, note_offset, &next);
    assert_ptr_equal(next, seen + 6);
    assert_memory_equal(seen, sorted, sizeof(sorted));
}

static void drop_visited(void *arg, const void *record) {
    DONE(ledger_drop(arg, &request_kind, record, &err_));
}

static void may_be_changed_by_a_visitor(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(free) char *text = xcalloc(1, 10000);

    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        struct request_record record = {1, i, 0, {text, 10000}, 0};
        DONE(ledger_put(ledger, &request_kind, &record, &err_));
    }
    ledger_each(ledger, &request_kind, drop_visited, ledger);
    assert_int_equal(ledger_count(ledger), 0);
}

static void comes_back_any_number_of_times(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    for (uint64_t i = 1; i <= 20; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "image-%d", (int)i);
        put_counter(ledger, name, i);
        put_counter(ledger, "last", i);
        struct ledger *again = come_back(ledger);
        (void)ledger_free(ledger);
        ledger = again;
        assert_int_equal(counter_of(ledger, "last"), i);
        assert_int_equal(ledger_count(ledger), i + 1);
        assert_int_equal(ledger_damaged(ledger), 0);
    }
}

static void lies_in_a_file_that_is_given(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = NULL;
    CLEANUP(ledger_free) struct ledger *again = NULL;
    char path[] = "/dev/shm/theseus-ledger-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "old things", 10, 100000), 10);
    DONE(ledger_create(&ledger, fd, &err_));
    assert_int_equal(ledger_fd(ledger), fd);
    put_counter(ledger, "kept", 5);
    ledger = ledger_free(ledger);
    DONE(ledger_open(&again, open(path, O_RDWR | O_CLOEXEC), &err_));
    assert_int_equal(counter_of(again, "kept"), 5);
    (void)unlink(path);
}

static void refuses_what_is_no_ledger(void **state) {
    char path[] = "/dev/shm/theseus-ledger-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    struct theseus_error err = {0};
    struct ledger *ledger = NULL;

    (void)state;
    assert_true(fd >= 0);
    (void)unlink(path);
    assert_int_equal(write(fd, "[server]\nname = x\n", 18), 18);
    assert_int_equal(ledger_open(&ledger, fd, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.message, "no ledger"));
    assert_int_equal(close(fd), 0); /* still ours */
}

static void refuses_a_later_format(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct format_head *head = ledger->journal.head;
    struct theseus_error err = {0};
    struct ledger *again = NULL;
    int fd = dup(ledger_fd(ledger));

    (void)state;
    head->identity.format = FORMAT_NUMBER + 1;
    head->identity.check = hash_u64((struct span){(const char *)&head->identity, 24});
    assert_int_equal(ledger_open(&again, fd, &err), -1);
    assert_int_equal(err.code, ERR_NEWER);
    (void)close(fd);
}

static void hands_the_scratch_memory_to_the_next_image(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    size_t size = 0;

    (void)state;
    memcpy(ledger_scratch(ledger, &size), "SIGSEGV", 8);
    assert_true(size >= 32 << 10);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_string_equal(ledger_scratch(again, &size), "SIGSEGV");
}

/* A kind of which this binary knows nothing, and a known one with a field that it does not know. */
struct later_counter_record {
    struct span name;
    uint64_t value;
    struct span why;
};
static const struct record_field later_counter_fields[] = {
    {.number = 1, .type = RECORD_BYTES, .offset = offsetof(struct later_counter_record, name), .flags = RECORD_KEY},
    {.number = 2, .type = RECORD_U64, .offset = offsetof(struct later_counter_record, value)},
    {.number = 77, .type = RECORD_BYTES, .offset = offsetof(struct later_counter_record, why)},
};
static const struct record_kind later_counter_kind = {
    14, "later counter", sizeof(struct later_counter_record), later_counter_fields, 3, 2};
static const struct record_kind unknown_kind = {
    999, "unknown", sizeof(struct later_counter_record), later_counter_fields, 3, 5};

static void assert_later(void *arg, const void *record) {
    const struct later_counter_record *later = record;

    assert_int_equal(later->value, 42);
    assert_true(span_equals(later->why, "because"));
    ++*(int *)arg;
}

static void keeps_kinds_and_fields_that_it_does_not_know(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct later_counter_record record = {span_of("later"), 42, span_of("because")};
    int fd = -1, seen = 0;

    (void)state;
    DONE(ledger_put(ledger, &later_counter_kind, &record, &err_));
    DONE(ledger_put(ledger, &unknown_kind, &record, &err_));
    assert_int_equal(counter_of(ledger, "later"), 42);
    uint64_t digest = digest_of(ledger);
    for (int i = 0; i < 3; i++)
        DONE(ledger_compact(ledger, &err_));
    DONE(ledger_copy(ledger, &fd, &err_));
    CLEANUP(ledger_free) struct ledger *copy = NULL;
    DONE(ledger_open(&copy, fd, &err_));
    assert_true(digest_of(copy) == digest);
    ledger_each(copy, &later_counter_kind, assert_later, &seen);
    ledger_each(copy, &unknown_kind, assert_later, &seen);
    assert_int_equal(seen, 2);
}

static void has_a_digest_of_its_records_and_nothing_else(void **state) {
    CLEANUP(ledger_free) struct ledger *a = ledger_new();
    CLEANUP(ledger_free) struct ledger *b = ledger_new();

    (void)state;
    assert_true(digest_of(a) == digest_of(b));
    put_counter(a, "x", 1);
    put_counter(a, "y", 2);
    put_counter(b, "y", 3);
    put_counter(b, "z", 1);
    put_counter(b, "x", 1);
    drop_counter(b, "z");
    assert_true(digest_of(a) != digest_of(b));
    put_counter(b, "y", 2);
    assert_true(digest_of(a) == digest_of(b));
    DONE(ledger_compact(b, &err_));
    assert_true(digest_of(a) == digest_of(b));
    CLEANUP(ledger_free) struct ledger *again = come_back(b);
    assert_true(digest_of(a) == digest_of(again));
    put_counter(b, "y", 1); /* x and y changed places */
    put_counter(b, "x", 2);
    assert_true(digest_of(a) != digest_of(b));
}

static void copies_what_there_is_and_not_what_comes_later(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(ledger_free) struct ledger *copy = NULL;
    CLEANUP(free) char *text = xcalloc(1, 3 << 20);
    struct request_record large = {1, 1, 0, {text, 3 << 20}, 0};
    int fd = -1;

    (void)state;
    DONE(ledger_put(ledger, &request_kind, &large, &err_));
    for (int i = 0; i < 1000; i++)
        put_counter(ledger, "often", (uint64_t)i);
    uint64_t digest = digest_of(ledger);
    DONE(ledger_copy(ledger, &fd, &err_));
    put_counter(ledger, "later", 1);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    DONE(ledger_open(&copy, fd, &err_));
    assert_true(digest_of(copy) == digest);
    assert_int_equal(ledger_count(copy), 2);
}

static void cannot_be_made_shorter_by_anybody(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    assert_int_equal(ftruncate(ledger_fd(ledger), 0), -1);
}

static void never_moves(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    const void *head = ledger->journal.head;
    CLEANUP(free) char *text = xcalloc(1, 1 << 20);
    struct request_record record = {1, 1, 0, {text, 1 << 20}, 0};

    (void)state;
    for (int i = 0; i < 30; i++, record.offset++)
        DONE(ledger_put(ledger, &request_kind, &record, &err_));
    assert_ptr_equal(head, ledger->journal.head);
    assert_ptr_equal(ledger->journal.head, ledger->journal.space.base);
}

static void commits_without_memory_of_its_own_inside_the_gate(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(batch_fini) struct batch batch = {0};
    static char text[50000];
    struct input_record record = {1, 0, {text, sizeof(text)}};

    (void)state;
    DONE(batch_reserve(&batch, 2, sizeof(text), &err_));
    const char *memory = batch.ops.data;
    for (int i = 0; i < 100; i++) {
        ledger_enter(ledger);
        batch_put(&batch, &input_kind, &record);
        batch_drop(&batch, &input_kind, &record);
        DONE(ledger_commit_locked(ledger, &batch, &err_));
        ledger_leave(ledger);
        assert_ptr_equal(batch.ops.data, memory);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_and_not_what_was_dropped),
        cmocka_unit_test(commits_a_batch_as_a_whole),
        cmocka_unit_test(visits_in_the_order_of_the_keys),
        cmocka_unit_test(may_be_changed_by_a_visitor),
        cmocka_unit_test(comes_back_any_number_of_times),
        cmocka_unit_test(lies_in_a_file_that_is_given),
        cmocka_unit_test(refuses_what_is_no_ledger),
        cmocka_unit_test(refuses_a_later_format),
        cmocka_unit_test(hands_the_scratch_memory_to_the_next_image),
        cmocka_unit_test(keeps_kinds_and_fields_that_it_does_not_know),
        cmocka_unit_test(has_a_digest_of_its_records_and_nothing_else),
        cmocka_unit_test(copies_what_there_is_and_not_what_comes_later),
        cmocka_unit_test(cannot_be_made_shorter_by_anybody),
        cmocka_unit_test(never_moves),
        cmocka_unit_test(commits_without_memory_of_its_own_inside_the_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
