/* What happens when there is no room: at the bound, and when the system has no memory. */
#include "test.h"

#include "ledger/space.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "facts.h"

enum { BOUND = 16 << 20, PIECE = 100000 };

static char text[8 << 20];

static int put_piece(struct ledger *ledger, uint64_t offset, size_t len, bool reserve, struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {.reserve = reserve};
    struct request_record record = {1, offset, 0, {text, len}, 0};

    batch_put(&batch, &request_kind, &record);
    return ledger_commit(ledger, &batch, err);
}

static int put_piece_locked(struct ledger *ledger, uint64_t offset, bool reserve, struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {.reserve = reserve};
    struct request_record record = {1, offset, 0, {text, PIECE}, 0};

    batch_put(&batch, &request_kind, &record);
    ledger_enter(ledger);
    int r = ledger_commit_locked(ledger, &batch, err);
    ledger_leave(ledger);
    return r;
}

/* Until it is refused; returns how many went in. */
static uint64_t fill(struct ledger *ledger, uint64_t from, bool reserve, enum errc why) {
    struct theseus_error err = {0};
    uint64_t count = 0;

    while (put_piece(ledger, from + count, PIECE, reserve, &err) == 0)
        count++;
    assert_int_equal(err.code, why);
    assert_non_null(strstr(err.message, "ledger"));
    return count;
}

static void refuses_at_the_bound_and_still_takes_answers(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct theseus_error err = {0};

    (void)state;
    ledger_set_bound(ledger, BOUND);
    uint64_t count = fill(ledger, 0, false, ERR_LIMIT);
    assert_in_range(count * PIECE, BOUND - LIMIT_LEDGER_RESERVE - (2 << 20), BOUND - LIMIT_LEDGER_RESERVE);
    assert_int_equal(put_piece_locked(ledger, count, false, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);

    uint64_t more = fill(ledger, count, true, ERR_LIMIT);
    assert_in_range(more * PIECE, LIMIT_LEDGER_RESERVE / 2 - (1 << 20), LIMIT_LEDGER_RESERVE / 2 + (1 << 20));
    assert_int_equal(ledger_count(ledger), count + more);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_count(again), count + more);
    assert_true(digest_of(again) == digest_of(ledger));
}

static void has_room_again_when_something_was_dropped(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    ledger_set_bound(ledger, BOUND);
    uint64_t count = fill(ledger, 0, false, ERR_LIMIT);
    for (uint64_t i = 0; i < count; i += 2) {
        struct request_record record = {.conn = 1, .offset = i};
        DONE(ledger_drop(ledger, &request_kind, &record, &err_));
    }
    assert_true(fill(ledger, count, false, ERR_LIMIT) >= count / 4);
    for (uint64_t i = 0; i < 2 * count; i++) {
        struct request_record record = {.conn = 1, .offset = i};
        DONE(ledger_drop(ledger, &request_kind, &record, &err_));
    }
    assert_true(fill(ledger, 0, false, ERR_LIMIT) >= count - 5);
}

/* Neither work nor answers have room; what makes room has. */
static void can_drop_when_it_is_full(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    ledger_set_bound(ledger, BOUND);
    uint64_t count = fill(ledger, 0, false, ERR_LIMIT);
    count += fill(ledger, count, true, ERR_LIMIT);
    for (uint64_t turn = 0; turn < 5; turn++) {
        for (uint64_t i = turn % 5; i < 5 * count; i += 5) { /* most of them are not there: drops all the same */
            struct request_record record = {.conn = 1, .offset = i};
            DONE(ledger_drop(ledger, &request_kind, &record, &err_));
        }
    }
    assert_int_equal(ledger_count(ledger), 0);
    assert_true(fill(ledger, 0, false, ERR_LIMIT) + 10 >= count / 2);
}

static void takes_a_record_larger_than_a_segment(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    ledger_set_bound(ledger, 64 << 20);
    for (uint64_t i = 0; i < 40; i++) {
        DONE(put_piece(ledger, i % 2, sizeof(text) - i, false, &err_));
        put_counter(ledger, "between", i + 1);
    }
    assert_int_equal(ledger_count(ledger), 3);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_true(digest_of(again) == digest_of(ledger));
}

static void refuses_a_batch_beyond_the_limit(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(batch_fini) struct batch batch = {0};
    struct theseus_error err = {0};

    (void)state;
    for (uint64_t i = 0; batch.ops.len <= LIMIT_LEDGER_BATCH; i++) {
        struct request_record record = {1, i, 0, {text, sizeof(text)}, 0};
        batch_put(&batch, &request_kind, &record);
    }
    assert_int_equal(ledger_commit(ledger, &batch, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(ledger_count(ledger), 0);
}

/* The file may not become longer, which is what a tmpfs that is full says too. */
static void refuses_when_the_system_has_no_memory_and_still_takes_answers(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct rlimit before, limit;
    uint64_t count = 0;

    (void)state;
    while (atomic_load(&ledger->journal.space.free_count) <= LIMIT_LEDGER_RESERVE / SEGMENT_BYTES)
        put_counter(ledger, "first", ++count);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = FORMAT_FRONT + 8 * SEGMENT_BYTES;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    count = fill(ledger, 0, false, ERR_MEMORY);
    assert_in_range(count * PIECE, 3 << 20, 4 << 20);
    uint64_t more = fill(ledger, count, true, ERR_MEMORY);
    assert_in_range(more * PIECE, LIMIT_LEDGER_RESERVE / 2 - (1 << 20), LIMIT_LEDGER_RESERVE / 2 + (1 << 20));
    (void)setrlimit(RLIMIT_FSIZE, &before);
    DONE(put_piece(ledger, count + more, PIECE, false, &err_)); /* there is some again */
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_int_equal(ledger_count(again), count + more + 2);
}

static void cannot_be_made_without_memory(void **state) {
    struct rlimit before, limit;
    struct theseus_error err = {0};
    struct ledger *ledger = NULL;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &before);
    for (rlim_t bytes = 0; bytes <= FORMAT_FRONT; bytes += sizeof(struct format_head)) {
        limit = before;
        limit.rlim_cur = bytes;
        (void)setrlimit(RLIMIT_FSIZE, &limit);
        err = (struct theseus_error){0};
        assert_int_equal(ledger_create(&ledger, -1, &err), -1);
        assert_int_not_equal(err.code, ERR_UNSET);
    }
    (void)setrlimit(RLIMIT_FSIZE, &before);
}

static size_t memory_of(const struct ledger *ledger) {
    struct stat stat;

    assert_int_equal(fstat(ledger_fd(ledger), &stat), 0);
    return (size_t)stat.st_blocks * 512;
}

static void gives_memory_back_to_the_system(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        DONE(put_piece(ledger, i, PIECE, false, &err_));
    assert_true(memory_of(ledger) >= 1000 * PIECE);
    for (uint64_t i = 0; i < 1000; i++) {
        struct request_record record = {.conn = 1, .offset = i};
        DONE(ledger_drop(ledger, &request_kind, &record, &err_));
    }
    for (uint64_t i = 0; i < 30000; i++)
        put_counter(ledger, "busy", i);
    assert_true(memory_of(ledger) <= 9 << 20);
}

/* ---- what is sealed ---- */

/* Does code that writes to this place get away with it? Asked in a child. */
static bool can_write(char *at) {
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        *(volatile char *)at = *at;
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) || WTERMSIG(status) == SIGSEGV);
    return WIFEXITED(status);
}

static void assert_sealed(struct ledger *ledger) {
    struct journal *journal = &ledger->journal;

    for (uint64_t order = journal->first; order <= journal->last; order++) {
        const struct extent *extent = journal_extent(journal, order);
        char *from = space_segment(&journal->space, extent->first);
        bool last = order == journal->last;
        size_t end = last ? journal->offset : extent->end;
        for (size_t at = 0; !last && at < end; at += 64 << 10)
            assert_false(can_write(from + at));
        if (last)
            assert_true(can_write(from + end));
        else
            assert_false(can_write(from + end - 1));
    }
}

static void seals_what_is_full(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    for (uint64_t i = 0; i < 60; i++)
        DONE(put_piece(ledger, i, PIECE / 2, false, &err_));
    put_counter(ledger, "behind", 1); /* whoever leaves the gate does it */
    put_counter(ledger, "behind", 2);
    assert_true(ledger->journal.last - ledger->journal.first >= 2);
    assert_sealed(ledger);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_sealed(again);
}

static void writes_again_to_what_was_sealed_and_is_free(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        struct request_record gone = {.conn = 1, .offset = i - 40};
        DONE(put_piece(ledger, i, PIECE / 2, false, &err_));
        if (i >= 40)
            DONE(ledger_drop(ledger, &request_kind, &gone, &err_));
    }
    assert_int_equal(ledger_count(ledger), 40);
    put_counter(ledger, "behind", 1);
    put_counter(ledger, "behind", 2);
    assert_sealed(ledger);
    CLEANUP(ledger_free) struct ledger *again = come_back(ledger);
    assert_true(digest_of(again) == digest_of(ledger));
}

/* Larger than what is echoed: it is sealed at once, but for its last pages. */
static void seals_a_large_batch_at_once(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    DONE(put_piece(ledger, 1, 3 << 20, false, &err_));
    put_counter(ledger, "behind", 1);
    char *from = space_segment(&ledger->journal.space, journal_extent(&ledger->journal, ledger->journal.last)->first);
    for (size_t at = 0; at < (3 << 20) - (64 << 10); at += 64 << 10)
        assert_false(can_write(from + at));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_at_the_bound_and_still_takes_answers),
        cmocka_unit_test(has_room_again_when_something_was_dropped),
        cmocka_unit_test(can_drop_when_it_is_full),
        cmocka_unit_test(takes_a_record_larger_than_a_segment),
        cmocka_unit_test(refuses_a_batch_beyond_the_limit),
        cmocka_unit_test(refuses_when_the_system_has_no_memory_and_still_takes_answers),
        cmocka_unit_test(cannot_be_made_without_memory),
        cmocka_unit_test(gives_memory_back_to_the_system),
        cmocka_unit_test(seals_what_is_full),
        cmocka_unit_test(writes_again_to_what_was_sealed_and_is_free),
        cmocka_unit_test(seals_a_large_batch_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
