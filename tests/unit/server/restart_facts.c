#include "test.h"

#include <stdlib.h>

#include "server/restart_facts.h"

static struct restart_facts made_up(void) {
    return (struct restart_facts){
        .phase = PHASE_SUSPENDING,
        .key = {1, 200, 3},
        .flags = RESTART_GRACEFUL | RESTART_MIGRATES,
        .reason = xstrdup("manual_request"),
        .asker = facts_pack_asker(&(struct asker){"agent", "2.0", "stdio", 1000}, "a session"),
        .boot_before = xstrdup("0123456789abcdef"),
        .version_before = xstrdup("1.2.3"),
        .error = xstrdup("because"),
        .lost = xstrdup("something"),
        .cause = xstrdup("it hung"),
        .started_ms = 1,
        .started_ns = 2,
        .timeout_ms = 3,
        .stopped_ns = 4,
        .held_ns = 5,
        .suspend_ns = 6,
        .attempt = 7,
        .requests_held = 8,
        .calls_interrupted = 9,
        .bytes_carried = 10,
    };
}

static void assert_same(const struct restart_facts *a, const struct restart_facts *b) {
    assert_int_equal(a->phase, b->phase);
    assert_memory_equal(&a->key, &b->key, sizeof(a->key));
    assert_int_equal(a->flags, b->flags);
    assert_string_equal(a->reason, b->reason);
    assert_string_equal(a->asker, b->asker);
    assert_string_equal(a->boot_before, b->boot_before);
    assert_string_equal(a->version_before, b->version_before);
    assert_string_equal(a->error, b->error);
    assert_string_equal(a->lost, b->lost);
    assert_string_equal(a->cause, b->cause);
    assert_memory_equal(&a->started_ms, &b->started_ms,
                        sizeof(*a) - offsetof(struct restart_facts, started_ms)); /* numbers only, without gaps */
}

static void comes_back_from_the_ledger_as_it_was(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct restart_facts facts = made_up(), again = {0};
    struct theseus_error err = {0};

    (void)state;
    assert_false(facts_read(&again, ledger));
    assert_int_equal(facts_record(&facts, ledger, &err), 0);
    assert_true(facts_read(&again, ledger));
    assert_same(&facts, &again);
    assert_true(facts_has_call(&again));
    facts_fini(&facts);
    facts_fini(&again);
}

static void keeps_what_is_not_known_unknown(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct restart_facts facts = {.phase = PHASE_PREPARING}, again = {0};
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(facts_record(&facts, ledger, &err), 0);
    assert_true(facts_read(&again, ledger));
    assert_null(again.reason);
    assert_null(again.error);
    assert_false(facts_has_call(&again));
}

static void tells_who_asked(void **state) {
    struct restart_facts facts = made_up(), nobody = {0};
    struct asker asker;

    (void)state;
    json_auto_t *texts = facts_unpack_asker(&facts, &asker);
    assert_string_equal(asker.name, "agent");
    assert_string_equal(asker.version, "2.0");
    assert_string_equal(asker.transport, "stdio");
    assert_int_equal(asker.uid, 1000);
    assert_null(facts_unpack_asker(&nobody, &asker));
    assert_null(asker.name);
    assert_int_equal(asker.uid, -1);
    facts_fini(&facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_from_the_ledger_as_it_was),
        cmocka_unit_test(keeps_what_is_not_known_unknown),
        cmocka_unit_test(tells_who_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
