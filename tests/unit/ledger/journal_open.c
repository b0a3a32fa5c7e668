/*
 * What a process image finds that another one left in the middle of something. A run of requests is recorded as conn
 * and call record it; the images of the file that a crash could leave behind are made from it, and damaged ones too.
 */
#include "test.h"

#include "ledger/journal.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"

#include "facts.h"

enum { REQUESTS = 6, COMMITS_MAX = 8 * REQUESTS, FILE_BYTES = FORMAT_FRONT + SEGMENT_BYTES };

/* Where a request has got to, in this order. */
enum stage { UNSEEN, HELD, RUNNING, ANSWERED };

struct run {
    struct ledger *ledger;
    size_t count;                  /* commits, and the state before the first */
    size_t ends[COMMITS_MAX];      /* of the log, after each */
    uint64_t digests[COMMITS_MAX]; /* of the records, after each */
    enum stage stages[COMMITS_MAX][REQUESTS];
    struct format_head heads[COMMITS_MAX]; /* what the head said, after each */
    char *file;                            /* at the end */
};

static void note_commit(struct run *run, size_t request, enum stage stage) {
    size_t i = run->count++;

    if (i > 0)
        memcpy(run->stages[i], run->stages[i - 1], sizeof(run->stages[i]));
    if (request < REQUESTS)
        run->stages[i][request] = stage;
    run->ends[i] = log_bytes(run->ledger);
    run->digests[i] = digest_of(run->ledger);
    memcpy(&run->heads[i], run->ledger->journal.head, sizeof(run->heads[i]));
}

static uint64_t line_start(size_t request) {
    return request * 40;
}

static void record_read(struct run *run, size_t i) {
    struct input_record input = {1, line_start(i), span_of("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\"}\n\n\n")};

    DONE(ledger_put(run->ledger, &input_kind, &input, &err_));
    note_commit(run, i, UNSEEN);
}

static void record_accept(struct run *run, size_t i) {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct input_record input = {.conn = 1, .offset = line_start(i)};
    struct request_record request = {1, line_start(i + 1), 0,
                                     span_of("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\"}"), 0};
    struct position_record position = {.conn = 1, .cut = line_start(i + 1)};

    batch_put(&batch, &request_kind, &request);
    batch_drop(&batch, &input_kind, &input);
    batch_put(&batch, &position_kind, &position);
    DONE(ledger_commit(run->ledger, &batch, &err_));
    note_commit(run, i, HELD);
}

static void record_enter(struct run *run, size_t i) {
    struct run_record entered = {.conn = 1, .offset = line_start(i + 1), .attempts = 1};

    DONE(ledger_put(run->ledger, &run_kind, &entered, &err_));
    note_commit(run, i, RUNNING);
}

static void record_answer(struct run *run, size_t i) {
    CLEANUP(batch_fini) struct batch batch = {.reserve = true};
    struct request_record request = {.conn = 1, .offset = line_start(i + 1)};
    struct run_record entered = {.conn = 1, .offset = line_start(i + 1)};
    struct output_record output = {
        .conn = 1, .offset = i * 30, .bytes = span_of("{\"jsonrpc\":\"2.0\",\"result\":{}}\n")};

    batch_drop(&batch, &request_kind, &request);
    batch_drop(&batch, &run_kind, &entered);
    batch_put(&batch, &output_kind, &output);
    DONE(ledger_commit(run->ledger, &batch, &err_));
    note_commit(run, i, ANSWERED);
}

static void record_write(struct run *run, size_t i) {
    struct output_record output = {.conn = 1, .offset = i * 30};

    DONE(ledger_drop(run->ledger, &output_kind, &output, &err_));
    note_commit(run, i, ANSWERED);
}

/* Each request is a stage behind the one before it. */
static int make_run(void **state) {
    static void (*const steps[])(struct run *, size_t) = {record_read, record_accept, record_enter, record_answer,
                                                          record_write};
    struct run *run = xcalloc(1, sizeof(*run));

    run->ledger = ledger_new();
    note_commit(run, REQUESTS, UNSEEN);
    for (size_t turn = 0; turn < REQUESTS + ARRAY_SIZE(steps); turn++)
        for (size_t i = REQUESTS; i-- > 0;)
            if (turn >= i && turn - i < ARRAY_SIZE(steps))
                steps[turn - i](run, i);
    run->file = xcalloc(1, FILE_BYTES);
    assert_int_equal(pread(ledger_fd(run->ledger), run->file, FILE_BYTES, 0), FILE_BYTES);
    log_set_level(LOG_ERROR);
    *state = run;
    return 0;
}

static int free_run(void **state) {
    struct run *run = *state;

    (void)ledger_free(run->ledger);
    free(run->file);
    free(run);
    return 0;
}

/* A file with this head, and so many bytes of the log. */
static struct ledger *open_image(const struct run *run, const struct format_head *head, size_t log_len) {
    struct ledger *ledger = NULL;
    int fd = memfd_create("image", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, head, sizeof(*head), 0), sizeof(*head));
    assert_int_equal(pwrite(fd, run->file + FORMAT_FRONT, log_len, FORMAT_FRONT), log_len); /* and no echo */
    DONE(ledger_open(&ledger, fd, &err_));
    return ledger;
}

static void note_request(void *arg, const void *record) {
    ((bool *)arg)[((const struct request_record *)record)->offset / 40 - 1] = true;
}

static void note_run(void *arg, const void *record) {
    ((bool *)arg)[((const struct run_record *)record)->offset / 40 - 1] = true;
}

static void note_cut(void *arg, const void *record) {
    *(uint64_t *)arg = ((const struct position_record *)record)->cut;
}

/* Each request is exactly one of unseen, held, running, answered, as at that commit. */
static void assert_stages(struct ledger *ledger, const enum stage *stages) {
    bool accepted[REQUESTS] = {false}, entered[REQUESTS] = {false};
    uint64_t cut = 0;

    ledger_each(ledger, &request_kind, note_request, accepted);
    ledger_each(ledger, &run_kind, note_run, entered);
    ledger_each(ledger, &position_kind, note_cut, &cut);
    for (size_t i = 0; i < REQUESTS; i++) {
        bool seen = cut >= line_start(i + 1);
        assert_true(seen || !accepted[i]);
        assert_true(accepted[i] || !entered[i]);
        enum stage stage = !seen ? UNSEEN : entered[i] ? RUNNING : accepted[i] ? HELD : ANSWERED;
        assert_int_equal(stage, stages[i]);
    }
}

static void finds_the_last_commit_whichever_byte_was_the_last_one_written(void **state) {
    const struct run *run = *state;

    for (size_t commit = 0; commit + 1 < run->count; commit++)
        for (size_t len = run->ends[commit]; len <= run->ends[commit + 1]; len++) {
            CLEANUP(ledger_free) struct ledger *ledger = open_image(run, &run->heads[commit], len);
            assert_int_equal(ledger_damaged(ledger), 0);
            assert_true(digest_of(ledger) == run->digests[commit]);
            assert_stages(ledger, run->stages[commit]);
        }
}

static void goes_on_behind_the_last_commit(void **state) {
    const struct run *run = *state;

    for (size_t commit = 0; commit + 1 < run->count; commit++) {
        CLEANUP(ledger_free) struct ledger *ledger = open_image(run, &run->heads[commit], run->ends[commit + 1] - 5);
        put_counter(ledger, "new", 1);
        CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
        assert_int_equal(ledger_damaged(again), 0);
        assert_true(digest_of(ledger) == digest_of(again));
        assert_stages(again, run->stages[commit]);
    }
}

static bool is_zero(const struct run *run, size_t from, size_t to) {
    for (size_t at = from; at < to; at++)
        if (run->file[FORMAT_FRONT + at] != 0)
            return false;
    return true;
}

/* Of the batch in which it was cut some records may be there: no request is further than it, or less far than before.
 */
static void assert_between(struct ledger *ledger, const enum stage *before, const enum stage *behind) {
    bool accepted[REQUESTS] = {false}, entered[REQUESTS] = {false};

    ledger_each(ledger, &request_kind, note_request, accepted);
    ledger_each(ledger, &run_kind, note_run, entered);
    for (size_t i = 0; i < REQUESTS; i++) {
        enum stage stage = entered[i] ? RUNNING : accepted[i] ? HELD : before[i] == ANSWERED ? ANSWERED : UNSEEN;
        if (before[i] == RUNNING && !accepted[i])
            stage = ANSWERED;
        assert_in_range(stage, before[i], behind[i]);
    }
}

/* The head promises more than there is: everything before the cut is still read. */
static void reads_what_is_left_of_a_file_that_was_cut(void **state) {
    const struct run *run = *state;
    size_t commit = 0;

    for (size_t len = run->ends[0]; len <= run->ends[run->count - 1]; len++) {
        CLEANUP(ledger_free) struct ledger *ledger = open_image(run, &run->heads[run->count - 1], len);
        while (commit + 1 < run->count && run->ends[commit + 1] <= len)
            commit++;
        /* A file has zeros behind its end: where a batch ends in them, it is there a little earlier. */
        while (commit + 1 < run->count && is_zero(run, len, run->ends[commit + 1]))
            commit++;
        assert_int_equal(ledger_damaged(ledger) > 0, commit + 1 < run->count);
        if (commit + 1 < run->count)
            assert_between(ledger, run->stages[commit], run->stages[commit + 1]);
        else
            assert_true(digest_of(ledger) == run->digests[commit]);
    }
}

/* ---- damage ---- */

enum { VALUES = 12 };

struct damage {
    int fd;
    char *file; /* VALUES counters, each a batch of its own */
    size_t starts[VALUES + 1];
};

static void make_damage(struct damage *damage, bool echo) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    for (size_t i = 0; i < VALUES; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "value-%d", (int)i);
        damage->starts[i] = log_bytes(ledger);
        put_counter(ledger, name, i + 1);
    }
    damage->starts[VALUES] = log_bytes(ledger);
    damage->file = xcalloc(1, FILE_BYTES);
    assert_int_equal(pread(ledger_fd(ledger), damage->file, FILE_BYTES, 0), FILE_BYTES);
    if (!echo)
        memset(damage->file + sizeof(struct format_head), 0, ECHO_BYTES);
    damage->fd = memfd_create("damage", MFD_CLOEXEC);
    assert_true(damage->fd >= 0);
}

static void count_record(void *arg, const void *record) {
    const struct counter_record *value = record;
    unsigned *mask = arg;

    assert_true(value->value >= 1 && value->value <= VALUES);
    *mask |= 1u << (value->value - 1);
}

/* What is left with the byte at `at` changed. */
static unsigned left_without(const struct damage *damage, size_t at, char change, size_t *ret_damaged) {
    CLEANUP(ledger_free) struct ledger *ledger = NULL;
    size_t len = FORMAT_FRONT + damage->starts[VALUES] + 4096;
    char byte = (char)(damage->file[at] ^ change);
    unsigned mask = 0;

    assert_int_equal(pwrite(damage->fd, damage->file, len, 0), len);
    assert_int_equal(pwrite(damage->fd, &byte, 1, (off_t)at), 1);
    DONE(ledger_open(&ledger, dup(damage->fd), &err_));
    ledger_each(ledger, &counter_kind, count_record, &mask);
    *ret_damaged = ledger_damaged(ledger);

    /* It can be used: what is damaged is skipped, not met again. */
    put_counter(ledger, "value-0", 1);
    DONE(ledger_compact(ledger, &err_));
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_damaged(again), 0);
    assert_true(digest_of(again) == digest_of(ledger));
    return mask;
}

static void loses_only_the_record_in_which_a_byte_is_damaged(void **state) {
    const unsigned all = (1u << VALUES) - 1;
    struct damage damage;
    size_t damaged;

    (void)state;
    make_damage(&damage, false);
    for (size_t i = 0; i < VALUES; i++)
        for (size_t at = damage.starts[i]; at < damage.starts[i + 1]; at++)
            for (int change = 1; change <= 255; change += 127) {
                unsigned left = left_without(&damage, FORMAT_FRONT + at, (char)change, &damaged);
                bool head = at - damage.starts[i] < sizeof(struct format_batch);
                assert_int_equal(left, head ? all : all & ~(1u << i));
                assert_int_equal(damaged, 1);
            }
    free(damage.file);
    (void)close(damage.fd);
}

static void loses_nothing_that_has_an_echo(void **state) {
    struct damage damage;
    size_t damaged;

    (void)state;
    make_damage(&damage, true);
    for (size_t at = damage.starts[0]; at < damage.starts[VALUES]; at++) {
        assert_int_equal(left_without(&damage, FORMAT_FRONT + at, 0x21, &damaged), (1u << VALUES) - 1);
        assert_int_equal(damaged, 0);
    }
    for (size_t at = 0; at < damage.starts[VALUES] + 100; at++) {
        assert_int_equal(left_without(&damage, sizeof(struct format_head) + at, 0x21, &damaged), (1u << VALUES) - 1);
        assert_int_equal(damaged, 0);
    }
    free(damage.file);
    (void)close(damage.fd);
}

static void loses_nothing_when_a_byte_of_the_head_is_damaged(void **state) {
    struct damage damage;
    size_t damaged;

    (void)state;
    make_damage(&damage, false);
    for (size_t at = 0; at < offsetof(struct format_head, scratch); at += at < 4200 ? 1 : 97)
        assert_int_equal(left_without(&damage, at, 0x55, &damaged), (1u << VALUES) - 1);
    free(damage.file);
    (void)close(damage.fd);
}

/* As an image has left it that knew no echo. */
static void goes_on_with_a_file_of_the_format_before(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = NULL;
    struct damage damage;
    unsigned mask = 0;

    (void)state;
    make_damage(&damage, false);
    struct format_head *head = (void *)damage.file;
    head->identity.format = FORMAT_WITHOUT_ECHO;
    head->identity.check =
        hash_u64((struct span){(const char *)&head->identity, offsetof(struct format_identity, check)});
    head->identity_copy = head->identity;
    assert_int_equal(pwrite(damage.fd, damage.file, sizeof(*head), 0), sizeof(*head));
    assert_int_equal(pwrite(damage.fd, damage.file + FORMAT_FRONT, SEGMENT_BYTES, sizeof(*head)), SEGMENT_BYTES);
    DONE(ledger_open(&ledger, damage.fd, &err_));
    ledger_each(ledger, &counter_kind, count_record, &mask);
    assert_int_equal(mask, (1u << VALUES) - 1);
    for (uint64_t i = 0; i < 20000; i++)
        put_counter(ledger, "value-0", 1);
    DONE(ledger_compact(ledger, &err_));
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_damaged(again), 0);
    assert_true(digest_of(again) == digest_of(ledger));
    assert_int_equal(again->journal.head->identity.format, FORMAT_WITHOUT_ECHO);
    free(damage.file);
}

/* Many extents: one of them disappears from the head. */
static void loses_one_extent_when_both_of_its_entries_are_damaged(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(free) char *text = xcalloc(1, 300000);
    uint64_t count = 12;

    (void)state;
    for (uint64_t i = 0; i < count; i++) {
        struct request_record record = {1, i, 0, {text, 300000}, 0};
        CLEANUP(batch_fini) struct batch batch = {0};
        batch_put(&batch, &request_kind, &record);
        ledger_enter(ledger);
        DONE(ledger_commit_locked(ledger, &batch, &err_));
        ledger_leave(ledger);
    }
    struct format_head *head = ledger->journal.head;
    uint32_t second = journal_extent(&ledger->journal, ledger->journal.first + 1)->first;
    head->extents[0][second] ^= 4;
    head->extents[1][second] ^= 1 << 20;
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_count(again), count - 3);
    assert_int_equal(ledger_damaged(again), 1);
    put_counter(again, "still", 1);
    DONE(ledger_compact(again, &err_));
    CLEANUP(ledger_free) struct ledger *third = come_back(again);
    assert_int_equal(ledger_damaged(third), 0);
    assert_int_equal(ledger_count(third), count - 3 + 1);
}

/* Where the text of the first request begins in the log. */
static size_t text_at(struct ledger *ledger, struct span text) {
    struct request_record record = {1, 1, 0, text, 0};

    DONE(ledger_put(ledger, &request_kind, &record, &err_));
    const char *log = space_segment(&ledger->journal.space, 0);
    const char *at = memmem(log, log_bytes(ledger), text.data, text.len);
    assert_non_null(at);
    return (size_t)(at - log);
}

enum { ACCEPTED_BYTES = 10 }; /* of the record, behind its text */

static void forget_echo(struct ledger *ledger) {
    memset(ledger->journal.space.base + sizeof(struct format_head), 0, ECHO_BYTES);
}

/* What a client sends is recorded; it may look like a batch, and stand at the place for which that batch was made. */
static void takes_nothing_that_was_recorded_for_a_part_of_the_log(void **state) {
    CLEANUP(ledger_free) struct ledger *measured = ledger_new();
    CLEANUP(ledger_free) struct ledger *other = ledger_new();
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof(text));
    size_t at = text_at(measured, (struct span){text, sizeof(text)});
    size_t filled = at / FORMAT_ALIGN * FORMAT_ALIGN + 400;
    (void)text_at(other, (struct span){text, filled - at - 7 - ACCEPTED_BYTES});
    assert_int_equal(log_bytes(other), filled);
    put_counter(other, "forged", 666);
    const char *forged = space_segment(&other->journal.space, 0) + filled;
    memcpy(text + filled - at, forged, log_bytes(other) - filled);

    assert_int_equal(text_at(ledger, (struct span){text, sizeof(text)}), at);
    char *log = space_segment(&ledger->journal.space, 0);
    assert_memory_equal(log + filled, forged, log_bytes(other) - filled);
    forget_echo(ledger);
    log[8] ^= 1; /* its head is no head any more: the next one is looked for */
    log[sizeof(struct format_batch)] ^= 1;
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_count(again), 0);
    assert_int_equal(ledger_damaged(again), 1);
}

/* Behind the end of the log lies what the segment held before; where the end is has to be found out. */
static void takes_nothing_from_the_earlier_life_of_a_segment(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    for (uint64_t i = 0; i < 60000; i++)
        put_counter(ledger, i % 2 ? "odd" : "even", i);
    drop_counter(ledger, "odd");
    drop_counter(ledger, "even");
    struct journal *journal = &ledger->journal;
    assert_true(journal->first > 1);
    assert_int_equal(ledger_count(ledger), 0);
    atomic_fetch_xor(&journal->head->tail, 1 << 20);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_count(again), 0);
    assert_int_equal(again->journal.offset, journal->offset);
}

/* Another image may have been about to begin an extent, which never came to be. */
static void forgets_extents_that_are_not_part_of_the_log(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct journal *journal = &ledger->journal;
    struct format_head *head = journal->head;

    (void)state;
    for (uint64_t i = 1; i < 10; i++)
        put_counter(ledger, "value", i);
    assert_int_equal(pwrite(journal->space.fd, "rest", 4, FORMAT_FRONT + 2 * SEGMENT_BYTES), 4);
    head->extents[0][2] = head->extents[1][2] = format_seal((journal->last + 1) << 10, journal->nonce);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(counter_of(again, "value"), 9);
    assert_int_equal(head->extents[0][2], 0);
    assert_int_equal(head->extents[1][2], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_last_commit_whichever_byte_was_the_last_one_written),
        cmocka_unit_test(goes_on_behind_the_last_commit),
        cmocka_unit_test(reads_what_is_left_of_a_file_that_was_cut),
        cmocka_unit_test(loses_only_the_record_in_which_a_byte_is_damaged),
        cmocka_unit_test(loses_nothing_that_has_an_echo),
        cmocka_unit_test(loses_nothing_when_a_byte_of_the_head_is_damaged),
        cmocka_unit_test(goes_on_with_a_file_of_the_format_before),
        cmocka_unit_test(loses_one_extent_when_both_of_its_entries_are_damaged),
        cmocka_unit_test(takes_nothing_that_was_recorded_for_a_part_of_the_log),
        cmocka_unit_test(takes_nothing_from_the_earlier_life_of_a_segment),
        cmocka_unit_test(forgets_extents_that_are_not_part_of_the_log),
    };
    return cmocka_run_group_tests(tests, make_run, free_run);
}
