#include "test.h"

#include "ledger/carry.h"

#include <stdio.h>
#include <stdlib.h>

struct got {
    int requests, runs, checkpoints, values;
    char last[64];
};

static void put_state(struct ledger *ledger, const char *plugin, const char *name, const char *value) {
    const struct state_record record = {span_of(plugin), span_of(name), span_of(value)};

    assert_int_equal(ledger_put(ledger, &state_kind, &record, NULL), 0);
}

static void put_request(struct ledger *ledger, uint64_t offset, const char *text) {
    const struct request_record record = {.conn = 1, .offset = offset, .text = span_of(text)};

    assert_int_equal(ledger_put(ledger, &request_kind, &record, NULL), 0);
}

static void put_run(struct ledger *ledger, uint64_t offset) {
    const struct run_record record = {.conn = 1, .offset = offset, .attempts = 1};

    assert_int_equal(ledger_put(ledger, &run_kind, &record, NULL), 0);
}

static void put_checkpoint(struct ledger *ledger, uint64_t offset) {
    const struct checkpoint_record record = {.conn = 1, .offset = offset, .state = span_of("{}")};

    assert_int_equal(ledger_put(ledger, &checkpoint_kind, &record, NULL), 0);
}

static bool all(void *arg, const struct record_kind *kind, const void *record) {
    (void)arg;
    (void)kind;
    (void)record;
    return true;
}

static bool no_state(void *arg, const struct record_kind *kind, const void *record) {
    (void)arg;
    (void)record;
    return kind != &state_kind;
}

static void take(void *arg, const struct record_kind *kind, const void *record) {
    struct got *got = arg;
    const struct state_record *state = record;

    got->requests += kind == &request_kind;
    got->runs += kind == &run_kind;
    got->checkpoints += kind == &checkpoint_kind;
    got->values += kind == &state_kind;
    if (kind == &state_kind)
        (void)snprintf(got->last, sizeof(got->last), "%.*s/%.*s=%.*s", (int)state->plugin.len, state->plugin.data,
                       (int)state->name.len, state->name.data, (int)state->value.len, state->value.data);
}

static void pack(struct ledger *ledger, carry_wants_fn *wants, struct carried *carried) {
    assert_int_equal(carry_pack(ledger, wants, NULL, carried, NULL), 0);
}

static void unpack(const struct carried *carried, struct got *got) {
    struct theseus_error err = {0};

    if (carry_unpack(buf_span(&carried->content), take, got, &err) < 0)
        print_error("%s\n", err.message);
    assert_int_equal(err.code, 0);
}

static void fill(struct ledger *ledger) {
    const struct conn_record conn = {.conn = 1};

    assert_int_equal(ledger_put(ledger, &conn_kind, &conn, NULL), 0);
    put_request(ledger, 10, "held");
    put_request(ledger, 20, "runs");
    put_run(ledger, 20);
    put_checkpoint(ledger, 20);
    put_request(ledger, 30, "held, too");
    put_state(ledger, "p", "k", "{\"a\":1}");
}

static void carries_state_and_the_calls_that_are_at_work(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(carried_fini) struct carried carried = {0};
    struct got got = {0};

    (void)state;
    fill(ledger);
    pack(ledger, all, &carried);
    assert_int_equal(carried.records, 4);
    unpack(&carried, &got);
    assert_int_equal(got.requests, 1);
    assert_int_equal(got.runs, 1);
    assert_int_equal(got.checkpoints, 1);
    assert_int_equal(got.values, 1);
    assert_string_equal(got.last, "p/k={\"a\":1}");
}

static void leaves_out_what_is_not_wanted(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(carried_fini) struct carried carried = {0};
    struct got got = {0};

    (void)state;
    fill(ledger);
    pack(ledger, no_state, &carried);
    unpack(&carried, &got);
    assert_int_equal(got.values, 0);
    assert_int_equal(got.runs, 1);
    assert_null(memmem(carried.content.data, carried.content.len, "{\"a\":1}", 7));
}

static void has_a_digest_that_only_what_is_carried_changes(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    uint64_t before, after, records;

    (void)state;
    fill(ledger);
    carry_digest(ledger, &before, &records);
    assert_int_equal(records, 4);
    put_request(ledger, 40, "held");
    carry_digest(ledger, &after, &records);
    assert_true(before == after);
    put_state(ledger, "p", "k", "2");
    carry_digest(ledger, &after, &records);
    assert_true(before != after);
    put_state(ledger, "p", "k", "{\"a\":1}");
    carry_digest(ledger, &after, &records);
    assert_true(before == after);
}

/* Whoever has packed need not ask again, and would be told of a later moment. */
static void tells_the_digest_of_what_was_packed(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(carried_fini) struct carried carried = {0}, less = {0};
    uint64_t digest, records;

    (void)state;
    fill(ledger);
    carry_digest(ledger, &digest, &records);
    pack(ledger, all, &carried);
    assert_true(carried.digest == digest);
    pack(ledger, no_state, &less);
    assert_true(less.digest == digest);
    put_run(ledger, 40);
    carry_digest(ledger, &digest, &records);
    assert_true(carried.digest != digest);
}

static void refuses_what_a_newer_version_wrote(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(carried_fini) struct carried carried = {0};
    struct theseus_error err = {0};
    struct got got = {0};
    const uint32_t newer = CARRY_VERSION + 1;

    (void)state;
    fill(ledger);
    pack(ledger, all, &carried);
    memcpy(carried.content.data + carried.content.start + 8, &newer, sizeof(newer));
    assert_int_equal(carry_unpack(buf_span(&carried.content), take, &got, &err), -1);
    assert_int_equal(err.code, ERR_NEWER);
    assert_int_equal(got.values, 0);
}

static void refuses_every_cut_and_every_changed_byte(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(carried_fini) struct carried carried = {0};
    struct got got = {0};

    (void)state;
    fill(ledger);
    pack(ledger, all, &carried);
    struct span whole = buf_span(&carried.content);
    for (size_t len = 0; len < whole.len; len++)
        assert_int_equal(carry_unpack((struct span){whole.data, len}, take, &got, NULL), -1);
    for (size_t at = 0; at < whole.len; at++) {
        if (at >= 12 && at < 16)
            continue; /* of no meaning */
        carried.content.data[carried.content.start + at] ^= 1;
        assert_int_equal(carry_unpack(whole, take, &got, NULL), -1);
        carried.content.data[carried.content.start + at] ^= 1;
    }
    assert_int_equal(got.values + got.runs + got.requests + got.checkpoints, 0);
}

static void passes_over_kinds_that_it_does_not_know(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(carried_fini) struct carried carried = {0};
    static const struct record_field fields[] = {{1, RECORD_U64, 0, RECORD_KEY}};
    static const struct record_kind unknown = {999, "unknown", sizeof(uint64_t), fields, 1, 1};
    CLEANUP(batch_fini) struct batch batch = {0};
    const uint64_t record = 7, records = 2;
    struct got got = {0};

    (void)state;
    put_state(ledger, "p", "k", "1");
    pack(ledger, all, &carried);
    batch_put(&batch, &unknown, &record);
    assert_int_equal(buf_append(&carried.content, buf_span(&batch.ops), NULL), 0);
    memcpy(carried.content.data + carried.content.start + 16, &records, sizeof(records));
    unpack(&carried, &got);
    assert_int_equal(got.values, 1);
}

static void count(void *arg) {
    ++*(int *)arg;
}

static void tells_once_that_something_of_it_has_changed(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    int told = 0;

    (void)state;
    ledger_watch(ledger, count, &told);
    put_request(ledger, 10, "held");
    assert_int_equal(told, 0);
    put_state(ledger, "p", "k", "1");
    put_state(ledger, "p", "k", "2");
    assert_int_equal(told, 1);
    ledger_watch(ledger, count, &told);
    put_run(ledger, 10);
    assert_int_equal(told, 2);
    ledger_watch(ledger, NULL, NULL);
    put_state(ledger, "p", "k", "3");
    assert_int_equal(told, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_state_and_the_calls_that_are_at_work),
        cmocka_unit_test(leaves_out_what_is_not_wanted),
        cmocka_unit_test(has_a_digest_that_only_what_is_carried_changes),
        cmocka_unit_test(tells_the_digest_of_what_was_packed),
        cmocka_unit_test(refuses_what_a_newer_version_wrote),
        cmocka_unit_test(refuses_every_cut_and_every_changed_byte),
        cmocka_unit_test(passes_over_kinds_that_it_does_not_know),
        cmocka_unit_test(tells_once_that_something_of_it_has_changed),
    };

    return cmocka_run_group_tests_name("ledger/carry", tests, NULL, NULL);
}
