#include "test.h"

#include <math.h>
#include <pthread.h>

#include "call/owner.h"

/* Asserts that the numbers of all progress lines grow; returns how many there are, and the last one. */
static size_t check_growth(struct owner *owner, double *ret_last) {
    CLEANUP(free) char *said = owner_said(owner);
    double before = -1;
    size_t count = 0;
    char *rest = NULL;

    for (char *line = strtok_r(said, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), count++) {
        json_auto_t *message = json_loads(line, 0, NULL);
        const json_t *params = json_object_get(message, "params");
        assert_string_equal(json_string_value(json_object_get(message, "method")), "notifications/progress");
        assert_string_equal(json_string_value(json_object_get(params, "progressToken")), "t");
        double now = json_number_value(json_object_get(params, "progress"));
        assert_true(now > before);
        before = now;
    }
    *ret_last = before;
    return count;
}

static struct call *with_token(struct owner *owner) {
    struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);

    call_read_meta(call);
    return call;
}

static void reports_not_more_than_can_be_used_and_always_the_last(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = with_token(owner);
    int64_t began = clock_now_ns();
    double last;

    (void)state;
    for (int i = 0; i <= 10000; i++)
        call_progress(call, i, 10000, "working");
    int64_t seconds = (clock_now_ns() - began) / 1000000000;
    size_t count = check_growth(owner, &last);
    assert_true(count >= 2 && count <= 2 + LIMIT_PROGRESS_PER_SECOND * (size_t)(seconds + 1));
    assert_true(last == 10000); /* the last step */
    call_cancel(call);
    assert_int_equal(ledger_count(owner->ledger), 0);
}

static void reports_only_what_grows_and_is_a_number(void **state) {
    static const double steps[] = {0, 0, -1, NAN, INFINITY, -INFINITY, 1, 1, 0.5, 1.5, 2};
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = with_token(owner);
    double last;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        call_progress(call, steps[i], steps[i], NULL); /* each is its own last step: no limit holds it back */
    assert_int_equal(check_growth(owner, &last), 4);
    assert_true(last == 2);
    call_cancel(call);
}

static void says_what_the_client_understands(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = with_token(owner);

    (void)state;
    call_progress(call, 1, 1, "text");
    call->revision = revision_find("2024-11-05");
    call_progress(call, 2, 2, "text");
    call_progress(call, 3, 0, NULL);
    call->last_progress_ns = 0;
    call_progress(call, 3, 0, NULL);
    CLEANUP(free) char *said = owner_said(owner);
    assert_string_equal(
        said, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"t\","
              "\"progress\":1.0,\"total\":1.0,\"message\":\"text\"}}\n"
              "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"t\","
              "\"progress\":2.0,\"total\":2.0}}\n"
              "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"t\","
              "\"progress\":3.0}}\n");
    call_cancel(call);
}

static void says_nothing_without_a_token(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);

    (void)state;
    call_progress(call, 1, 1, "text");
    assert_int_equal(owner->said.len, 0);
    assert_int_equal(ledger_count(owner->ledger), 1);
    call_cancel(call);
}

static void grows_further_after_a_restart(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = with_token(owner);
    double last;

    (void)state;
    call_progress(call, 5, 5, NULL);
    assert_int_equal(check_growth(owner, &last), 1);
    CLEANUP(call_unref) struct call *again = with_token(owner);
    keep_restore(again);
    call_progress(again, 4, 4, NULL);
    call_progress(again, 5, 5, NULL);
    call_progress(again, 6, 6, NULL);
    assert_int_equal(check_growth(owner, &last), 1);
    assert_true(last == 6);
    call_cancel(again);
    call_cancel(call);
    assert_int_equal(ledger_count(owner->ledger), 0);
}

enum { REPORTERS = 4, REPORTS = 2000 };

struct reporters {
    struct call *call;
    atomic_int step;
};

static void *report(void *arg) {
    struct reporters *reporters = arg;

    for (int i = 0; i < REPORTS; i++) {
        int step = atomic_fetch_add(&reporters->step, 1) + 1;
        call_progress(reporters->call, step, step, "working");
    }
    return NULL;
}

static void grows_whatever_threads_report(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = with_token(owner);
    struct reporters reporters = {.call = call};
    pthread_t threads[REPORTERS];
    double last;

    (void)state;
    for (int i = 0; i < REPORTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, report, &reporters), 0);
    for (int i = 0; i < REPORTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(check_growth(owner, &last) > 0);
    assert_true(last <= REPORTERS * REPORTS); /* the last ones may have come too soon after others */
    call_cancel(call);
}

static void logs_what_the_client_wants(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = with_token(owner);

    (void)state;
    call_log(call, THESEUS_EMERGENCY, "me", "none was asked for");
    call->log_level = THESEUS_WARNING;
    call_log(call, THESEUS_NOTICE, "me", "less");
    call_log(call, THESEUS_WARNING, "me", "enough");
    CLEANUP(free) char *said = owner_said(owner);
    assert_string_equal(said, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":"
                              "\"warning\",\"logger\":\"me\",\"data\":\"enough\"}}\n");
    call_cancel(call);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_not_more_than_can_be_used_and_always_the_last),
        cmocka_unit_test(reports_only_what_grows_and_is_a_number),
        cmocka_unit_test(says_what_the_client_understands),
        cmocka_unit_test(says_nothing_without_a_token),
        cmocka_unit_test(grows_further_after_a_restart),
        cmocka_unit_test(grows_whatever_threads_report),
        cmocka_unit_test(logs_what_the_client_wants),
    };

    return cmocka_run_group_tests_name("call/notify", tests, NULL, NULL);
}
