#include "test.h"

#include "call/keep.h"

#include <unistd.h>

#include "call/owner.h"

static void note_attempts(void *arg, const void *record) {
    *(uint64_t *)arg = ((const struct run_record *)record)->attempts;
}

static uint64_t attempts_in(struct owner *owner) {
    uint64_t attempts = 0;

    ledger_each(owner->ledger, &run_kind, note_attempts, &attempts);
    return attempts;
}

static void counts_how_often_a_handler_was_entered(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();

    (void)state;
    for (uint64_t image = 0; image < 3; image++) {
        CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 9);
        keep_restore(call);
        assert_int_equal(call->attempts, image);
        keep_entered(call);
        assert_int_equal(attempts_in(owner), image + 1);
    }
}

static void fill(struct ledger *ledger, bool reserve) {
    static const char text[64 << 10];
    struct theseus_error err = {0};
    static uint64_t number;

    for (int r = 0; r == 0;) {
        CLEANUP(batch_fini) struct batch batch = {.reserve = reserve};
        struct request_record record = {2, ++number, 0, {text, sizeof(text)}, 0};
        batch_put(&batch, &request_kind, &record);
        r = ledger_commit(ledger, &batch, &err);
    }
}

static void enters_nothing_unrecorded(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 9);
    CLEANUP(call_unref) struct call *late = owner_call_new(owner, OWNER_REQUEST, 10);

    (void)state;
    ledger_set_bound(owner->ledger, LIMIT_LEDGER_RESERVE + (4 << 20));
    fill(owner->ledger, false);
    assert_true(keep_entered(call)); /* there is room for that */
    assert_int_equal(attempts_in(owner), 1);
    fill(owner->ledger, true);
    for (int i = 0; i < 100000 && !call_is_over(late); i++) { /* the last segment's rest */
        atomic_store(&late->entry, ENTRY_FREE);
        late->attempts = (uint64_t)i;
        if (!keep_entered(late))
            break;
    }
    assert_true(call_is_over(late));
    assert_int_equal(owner->answers, 1);
    call_cancel(call);
}

static void brings_the_last_checkpoint_back(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 9);
    CLEANUP(call_unref) struct call *other = owner_call_new(owner, OWNER_REQUEST, 10);
    CLEANUP(call_unref) struct call *again = owner_call_new(owner, OWNER_REQUEST, 9);

    (void)state;
    keep_entered(call);
    assert_false(atomic_load(&call->has_checkpoint));
    assert_int_equal(keep_checkpoint(call, json_pack("{s:i}", "at", 1), NULL), 0);
    assert_true(atomic_load(&call->has_checkpoint));
    keep_restore_checkpoint(call);
    assert_int_equal(json_integer_value(json_object_get(call->resume, "at")), 1);
    assert_int_equal(keep_checkpoint(call, json_pack("{s:i}", "at", 2), NULL), 0);
    keep_restore(again);
    keep_restore(other);
    assert_null(other->resume);
    assert_false(atomic_load(&other->has_checkpoint));
    assert_true(atomic_load(&again->has_checkpoint));
    assert_int_equal(json_integer_value(json_object_get(again->resume, "at")), 2);
    call_cancel(again); /* never entered in this image */
    assert_int_equal(ledger_count(owner->ledger), 1);
}

/* The text has the quotes around it. */
/* Their numbers are a part of their keys, by which a tool knows what it has done already. */
static void numbers_inner_calls_again_from_the_checkpoint(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 9);
    CLEANUP(call_unref) struct call *again = owner_call_new(owner, OWNER_REQUEST, 9);

    (void)state;
    uint64_t first = keep_inner_entered(call);
    keep_inner_left(call, first);
    assert_int_equal(keep_checkpoint(call, json_true(), NULL), 0);
    uint64_t second = keep_inner_entered(call);
    keep_inner_left(call, second);
    uint64_t third = keep_inner_entered(call);
    assert_true(first < second && second < third);
    keep_restore(again);
    assert_true(keep_inner_entered(again) == second);
    keep_inner_left(again, second);
    assert_int_equal(keep_checkpoint(again, json_true(), NULL), 0);
    assert_true(keep_inner_entered(again) == third);
    keep_restore_checkpoint(again); /* suspended, and run again in the same image */
    assert_true(keep_inner_entered(again) == third);
    json_decref(again->resume);
    again->resume = NULL;
}

static void takes_a_checkpoint_up_to_its_limit(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 9);
    CLEANUP(free) char *text = xcalloc(LIMIT_STATE_VALUE, 1);
    struct theseus_error err = {0};

    (void)state;
    memset(text, 'x', LIMIT_STATE_VALUE - 1);
    assert_int_equal(keep_checkpoint(call, json_stringn(text, LIMIT_STATE_VALUE - 2), &err), 0);
    assert_int_equal(keep_checkpoint(call, json_stringn(text, LIMIT_STATE_VALUE - 1), &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    err = (struct theseus_error){0};
    assert_int_equal(keep_checkpoint(call, NULL, &err), -1);
    call_cancel(call);
    assert_int_equal(ledger_count(owner->ledger), 0);
}

static void leaves_nothing_behind(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 9);

    (void)state;
    call_read_meta(call);
    keep_entered(call);
    call_progress(call, 1, 2, NULL);
    assert_int_equal(keep_checkpoint(call, json_true(), NULL), 0);
    uint64_t inner = keep_inner_entered(call), next = keep_inner_entered(call);
    assert_true(inner != next && inner >> 32 != 0); /* above every index of a batch */
    assert_int_equal(keep_child(call, getpid(), NULL), 0);
    assert_int_equal(ledger_count(owner->ledger), 7);
    keep_child_ended(call, getpid());
    keep_inner_left(call, inner);
    keep_inner_left(call, next);
    call_answer(call, json_object());
    assert_int_equal(ledger_count(owner->ledger), 0);
}

static void refuses_a_child_that_is_not_there(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 9);
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(keep_child(call, 1L << 30, &err), -1);
    assert_int_equal(ledger_count(owner->ledger), 1);
    call_cancel(call);
}

static void drops_progress_that_this_image_never_made(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 9);
    CLEANUP(call_unref) struct call *again = owner_call_new(owner, OWNER_REQUEST, 9);

    (void)state;
    call_read_meta(call);
    keep_entered(call);
    call_progress(call, 1, 2, NULL);
    keep_restore(again);
    call_cancel(again); /* while it is held: its _meta was not read yet */
    assert_int_equal(ledger_count(owner->ledger), 0);
}

/* Whoever is first: the handler, or who says that it was never begun. */
static void bars_the_way_only_to_a_call_that_no_handler_was_entered_for(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *entered = owner_call_new(owner, OWNER_REQUEST, 9);
    CLEANUP(call_unref) struct call *barred = owner_call_new(owner, OWNER_REQUEST, 10);
    CLEANUP(call_unref) struct call *back = owner_call_new(owner, OWNER_REQUEST, 9);

    (void)state;
    assert_true(keep_entered(entered));
    assert_false(keep_bar(entered));
    assert_true(keep_entered(entered)); /* once more, after it was suspended */
    assert_true(keep_bar(barred));
    assert_false(keep_entered(barred));
    assert_false(keep_bar(barred)); /* that was said already */
    keep_restore(back);
    assert_false(keep_bar(back)); /* the image before has entered it */
    assert_true(keep_entered(back));
    call_cancel(back);
    call_cancel(barred);
    assert_int_equal(ledger_count(owner->ledger), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_how_often_a_handler_was_entered),
        cmocka_unit_test(enters_nothing_unrecorded),
        cmocka_unit_test(brings_the_last_checkpoint_back),
        cmocka_unit_test(numbers_inner_calls_again_from_the_checkpoint),
        cmocka_unit_test(takes_a_checkpoint_up_to_its_limit),
        cmocka_unit_test(leaves_nothing_behind),
        cmocka_unit_test(refuses_a_child_that_is_not_there),
        cmocka_unit_test(drops_progress_that_this_image_never_made),
        cmocka_unit_test(bars_the_way_only_to_a_call_that_no_handler_was_entered_for),
    };

    return cmocka_run_group_tests_name("call/keep", tests, NULL, NULL);
}
