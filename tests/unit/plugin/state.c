#include "test.h"

#include "plugin/state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

static void holds(struct state *state, const char *plugin, const char *key, const char *expected) {
    json_auto_t *value = state_get(state, plugin, key);
    json_auto_t *wanted = expected ? json_loads(expected, JSON_DECODE_ANY, NULL) : NULL;

    assert_true(expected ? json_equal(value, wanted) : !value);
}

static json_t *json(const char *text) {
    return json_loads(text, JSON_DECODE_ANY, NULL);
}

static void keeps_values_by_plugin_and_key(void **unused) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(state_free) struct state *state = state_new(ledger);

    (void)unused;
    holds(state, "a", "k", NULL);
    assert_int_equal(state_put(state, "a", "k", json("{\"x\":[1,2]}"), NULL), 0);
    assert_int_equal(state_put(state, "b", "k", json("2"), NULL), 0);
    assert_int_equal(state_put(state, "a", "l", json("\"text\""), NULL), 0);
    assert_int_equal(state_put(state, "ab", "k", json("false"), NULL), 0);
    holds(state, "a", "k", "{\"x\":[1,2]}");
    holds(state, "b", "k", "2");
    holds(state, "a", "l", "\"text\"");
    holds(state, "a", "bk", NULL);
    assert_int_equal(ledger_count(ledger), 4);
    assert_int_equal(state_put(state, "a", "k", json("7"), NULL), 0); /* the last wins */
    holds(state, "a", "k", "7");
    assert_int_equal(state_put(state, "a", "k", json_null(), NULL), 0); /* removed */
    assert_int_equal(state_put(state, "a", "k", json_null(), NULL), 0);
    holds(state, "a", "k", NULL);
    assert_int_equal(ledger_count(ledger), 3);
}

static void gives_a_copy(void **unused) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(state_free) struct state *state = state_new(ledger);

    (void)unused;
    assert_int_equal(state_put(state, "a", "k", json("{}"), NULL), 0);
    json_auto_t *mine = state_get(state, "a", "k");
    assert_int_equal(json_object_set_new(mine, "changed", json_true()), 0);
    holds(state, "a", "k", "{}");
}

static void takes_keys_and_values_up_to_their_limits(void **unused) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(state_free) struct state *state = state_new(ledger);
    CLEANUP(free) char *text = xcalloc(LIMIT_STATE_VALUE, 1);
    char key[LIMIT_STATE_KEY + 2] = "";
    struct theseus_error err = {0};

    (void)unused;
    memset(key, 'k', LIMIT_STATE_KEY);
    assert_int_equal(state_put(state, "a", key, json_true(), NULL), 0);
    holds(state, "a", key, "true");
    key[LIMIT_STATE_KEY] = 'k';
    assert_int_equal(state_put(state, "a", key, json_true(), &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    holds(state, "a", key, NULL);
    assert_int_equal(state_put(state, "a", "", json_true(), NULL), -1);
    assert_int_equal(state_put(state, "a", NULL, json_true(), NULL), -1);
    memset(text, 'x', LIMIT_STATE_VALUE - 1);
    err = (struct theseus_error){0};
    assert_int_equal(state_put(state, "a", "v", json_stringn(text, LIMIT_STATE_VALUE - 2), &err), 0);
    assert_int_equal(state_put(state, "a", "v", json_stringn(text, LIMIT_STATE_VALUE - 1), &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    json_auto_t *kept = state_get(state, "a", "v");
    assert_int_equal(json_string_length(kept), LIMIT_STATE_VALUE - 2); /* what was there stays */
    assert_int_equal(state_put(state, "a", "v", NULL, NULL), -1);
}

static void is_there_again_for_the_next_image(void **unused) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)unused;
    for (int image = 0; image < 3; image++) {
        CLEANUP(state_free) struct state *state = state_new(ledger);
        char number[12];
        (void)snprintf(number, sizeof(number), "%d", image);
        holds(state, "a", "image", image ? (char[]){(char)('0' + image - 1), '\0'} : NULL);
        assert_int_equal(state_put(state, "a", "image", json(number), NULL), 0);
        assert_int_equal(state_put(state, "a", "gone", image ? json_null() : json_true(), NULL), 0);
        holds(state, "a", "gone", image ? NULL : "true");
    }
    assert_int_equal(ledger_count(ledger), 1);
}

static json_t *leave(const json_t *current, void *arg) {
    assert_null(current);
    *(bool *)arg = true;
    return NULL;
}

static json_t *remove_it(const json_t *current, void *arg) {
    (void)arg;
    assert_int_equal(json_integer_value(current), 5);
    return json_null();
}

static void updates_as_it_is_told(void **unused) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(state_free) struct state *state = state_new(ledger);
    bool asked = false;

    (void)unused;
    assert_int_equal(state_update(state, "a", "k", leave, &asked, NULL), 0);
    assert_true(asked);
    holds(state, "a", "k", NULL);
    assert_int_equal(state_put(state, "a", "k", json("5"), NULL), 0);
    assert_int_equal(state_update(state, "a", "k", remove_it, NULL, NULL), 0);
    holds(state, "a", "k", NULL);
    assert_int_equal(ledger_count(ledger), 0);
}

enum { THREADS = 4, UPDATES = 2500 };

static json_t *one_more(const json_t *current, void *arg) {
    (void)arg;
    return json_integer(json_integer_value(current) + 1);
}

static void *update_often(void *state) {
    for (int i = 0; i < UPDATES; i++)
        if (state_update(state, "a", "count", one_more, NULL, NULL) < 0 ||
            state_put(state, "a", "noise", json_integer(i), NULL) < 0)
            return state;
    return NULL;
}

static void loses_no_update(void **unused) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(state_free) struct state *state = state_new(ledger);
    pthread_t threads[THREADS];
    void *failed;

    (void)unused;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, update_often, state), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    holds(state, "a", "count", "10000");
    CLEANUP(state_free) struct state *next = state_new(ledger);
    holds(next, "a", "count", "10000");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_values_by_plugin_and_key),
        cmocka_unit_test(gives_a_copy),
        cmocka_unit_test(takes_keys_and_values_up_to_their_limits),
        cmocka_unit_test(is_there_again_for_the_next_image),
        cmocka_unit_test(updates_as_it_is_told),
        cmocka_unit_test(loses_no_update),
    };

    return cmocka_run_group_tests_name("plugin/state", tests, NULL, NULL);
}
