#include "test.h"

#include "call/call.h"

#include <pthread.h>

#include "call/owner.h"

static void says(struct owner *owner, const char *expected) {
    CLEANUP(free) char *said = owner_said(owner);

    assert_string_equal(said, expected);
}

static void is_answered_with_a_result(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);

    (void)state;
    call_answer(call, json_pack("{s:i}", "a", 1));
    assert_true(call_is_over(call));
    assert_int_equal(ledger_count(owner->ledger), 0);
    says(owner, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":1}}\n");
    call_answer(call, json_object());
    call_cancel(call);
    says(owner, "");
}

static void is_answered_in_the_modern_shape(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);

    (void)state;
    call->revision = revision_modern();
    call->server_info = json_pack("{s:s}", "name", "me");
    call_answer_list(call, json_object());
    says(owner, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":"
                "\"private\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"me\"}}}}\n");
}

static void is_answered_with_an_error(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);
    struct theseus_error err = {0};

    (void)state;
    (void)fail(&err, ERR_PARAMS, "no");
    call_fail(call, &err, json_pack("{s:i}", "d", 2));
    says(owner, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"no\",\"data\":{\"d\":2}}}\n");
    assert_int_equal(ledger_count(owner->ledger), 0);
}

/* A name that is cut inside a character must not cost the whole line. */
static void is_answered_with_an_error_that_quotes_anything(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);
    struct theseus_error err = {0};

    (void)state;
    (void)fail(&err, ERR_NO_METHOD, "method '%.4s'", "\xe2\x82\xac\xe2\x82\xac");
    call_fail(call, &err, NULL);
    says(owner, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32601,\"message\":\"method "
                "'\xe2\x82\xac?'\"}}\n");
}

/* What cannot be written must not go out by half: it would spoil the next line too. */
static void says_nothing_rather_than_half_a_line(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);
    struct theseus_error err = {0};

    (void)state;
    log_set_level(LOG_ERROR + 1);
    (void)fail(&err, ERR_PARAMS, "no");
    call_fail(call, &err, json_string_nocheck("\xff"));
    assert_true(call_is_over(call));
    says(owner, "");
    assert_int_equal(ledger_count(owner->ledger), 0);
}

static void is_answered_although_its_result_is_none(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();

    (void)state;
    for (int modern = 0; modern < 2; modern++) {
        CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);
        if (modern)
            call->revision = revision_modern();
        call_answer(call, NULL);
        CLEANUP(free) char *said = owner_said(owner);
        assert_non_null(strstr(said, "\"code\":-32603"));
        assert_int_equal(ledger_count(owner->ledger), 0);
    }
}

static void is_answered_up_to_the_limit_and_not_beyond(void **state) {
    static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":1}}\n";
    CLEANUP(owner_free) struct owner *owner = owner_new();

    (void)state;
    for (size_t less = 0; less < 2; less++) {
        CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);
        call->max_result = strlen(line) - less;
        call_answer(call, json_pack("{s:i}", "a", 1));
        CLEANUP(free) char *said = owner_said(owner);
        CLEANUP(free)
        char *longer = xasprintf("\"code\":-32603,\"message\":\"the result of %zu bytes is longer", strlen(line));
        if (less)
            assert_non_null(strstr(said, longer));
        else
            assert_string_equal(said, line);
    }
}

static void says_nothing_after_a_cancellation(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);
    struct theseus_error err = {0};

    (void)state;
    call_read_meta(call);
    call->log_level = 0;
    keep_entered(call);
    call_cancel(call);
    assert_true(atomic_load(&call->cancelled));
    call_progress(call, 1, 2, "late");
    call_log(call, 7, "x", "late");
    call_answer(call, json_object());
    (void)fail(&err, ERR_PARAMS, "late");
    call_fail(call, &err, NULL);
    keep_entered(call);
    assert_int_equal(keep_checkpoint(call, json_object(), NULL), 0);
    says(owner, "");
    assert_int_equal(owner->silent, 1);
    assert_int_equal(ledger_count(owner->ledger), 0);
}

static void time_is_up(struct call *call, const struct call_limit *limit) {
    assert_int_equal(limit->ms, 20);
    assert_string_equal(limit->plugin, "p");
    call_answer(call, json_pack("{s:b}", "late", true));
    loop_enter();
    call_end_on_loop(call); /* the owner may do so inside */
}

static void is_answered_when_its_time_is_up(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);

    (void)state;
    loop_enter();
    char plugin[] = "p";
    call_set_deadline(call, &(struct call_limit){.ms = 20, .plugin = plugin}, time_is_up);
    plugin[0] = 'q';
    until(owner->loop, owner->answers == 1);
    assert_true(clock_now_ns() - call->accepted_ns >= 20000000);
    assert_true(atomic_load(&call->cancelled)); /* its handler is to stop */
    says(owner, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"late\":true}}\n");
}

static void forgets_its_time_when_it_is_over(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref) struct call *call = owner_call_new(owner, OWNER_REQUEST, 1);

    (void)state;
    loop_enter();
    call->accepted_ns -= 1000000000; /* accepted long ago: it would be up at once */
    call_set_deadline(call, &(struct call_limit){.ms = 20}, time_is_up);
    call_answer(call, json_object());
    call_end_on_loop(call);
    for (int i = 0; i < 5; i++)
        (void)loop_turn(owner->loop, 1);
    assert_int_equal(owner->answers + owner->dropped, 1);
}

static void reads_what_a_client_says_of_a_request(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    CLEANUP(call_unref)
    struct call *call =
        owner_call_new(owner,
                       "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"method\":\"x\",\"params\":{\"_meta\":{\"progressToken\":0,"
                       "\"io.modelcontextprotocol/logLevel\":\"warning\"}}}",
                       77);

    (void)state;
    call->revision = revision_modern();
    call_read_meta(call);
    assert_int_equal(json_integer_value(call->progress_token), 0);
    assert_true(json_is_integer(call->progress_token));
    assert_int_equal(call->log_level, 3);
    assert_string_equal(call->key_text, "boot-1-77-0");
    assert_string_equal(call->method, "x");
    call_set_client(call, &(struct theseus_client_info){.name = "n", .uid = 5});
    call_set_client(call, &(struct theseus_client_info){.name = "m", .uid = 6});
    assert_string_equal(call->client.name, "m");
    assert_string_equal(call->client.directory, "");
    assert_int_equal(call->client.uid, 6);
    call_cancel(call);
}

/* ---- races ---- */

enum { RACERS = 4, RACES = 10000 };

struct race {
    pthread_barrier_t start, end;
    struct call *call;
    atomic_int next;
};

static void finish_somehow(struct call *call, int how) {
    struct theseus_error err = {0};

    if (how % RACERS == 0) {
        keep_entered(call);
        call_progress(call, how, 0, NULL);
        call_answer(call, json_object());
    } else if (how % RACERS == 1) {
        (void)fail(&err, ERR_INTERNAL, "failed");
        call_fail(call, &err, json_object());
    } else if (how % RACERS == 2) {
        call_cancel(call);
    } else {
        if (keep_checkpoint(call, json_true(), NULL) < 0)
            abort();
        call_answer(call, json_object());
    }
}

static void *run_races(void *arg) {
    struct race *race = arg;
    int me = atomic_fetch_add(&race->next, 1);

    for (int i = 0; i < RACES; i++) {
        (void)pthread_barrier_wait(&race->start);
        finish_somehow(race->call, me + i);
        (void)pthread_barrier_wait(&race->end);
    }
    return NULL;
}

static void is_over_exactly_once_whatever_races(void **state) {
    CLEANUP(owner_free) struct owner *owner = owner_new();
    struct race race = {.call = NULL};
    pthread_t threads[RACERS];

    (void)state;
    (void)pthread_barrier_init(&race.start, NULL, RACERS + 1);
    (void)pthread_barrier_init(&race.end, NULL, RACERS + 1);
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_races, &race), 0);
    for (int i = 0; i < RACES; i++) {
        race.call = owner_call_new(owner, OWNER_REQUEST, (uint64_t)i + 1);
        call_read_meta(race.call);
        (void)pthread_barrier_wait(&race.start);
        (void)pthread_barrier_wait(&race.end);
        assert_int_equal(owner->answers + owner->silent, i + 1);
        assert_int_equal(ledger_count(owner->ledger), 0);
        (void)call_unref(race.call);
    }
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)pthread_barrier_destroy(&race.start);
    (void)pthread_barrier_destroy(&race.end);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_answered_with_a_result),
        cmocka_unit_test(is_answered_in_the_modern_shape),
        cmocka_unit_test(is_answered_with_an_error),
        cmocka_unit_test(is_answered_with_an_error_that_quotes_anything),
        cmocka_unit_test(says_nothing_rather_than_half_a_line),
        cmocka_unit_test(is_answered_although_its_result_is_none),
        cmocka_unit_test(is_answered_up_to_the_limit_and_not_beyond),
        cmocka_unit_test(says_nothing_after_a_cancellation),
        cmocka_unit_test(is_answered_when_its_time_is_up),
        cmocka_unit_test(forgets_its_time_when_it_is_over),
        cmocka_unit_test(reads_what_a_client_says_of_a_request),
        cmocka_unit_test(is_over_exactly_once_whatever_races),
    };

    return cmocka_run_group_tests_name("call/call", tests, NULL, NULL);
}
