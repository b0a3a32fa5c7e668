#include "test.h"

#include "plugin/state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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

/* A thread that is begun inside an update. */
struct aside {
    struct state *state;
    const char *plugin, *key;
    pthread_t thread;
    bool ended; /* before the update did */
};

/* Has it ended, or does it within that time? */
static bool ends_within(pthread_t thread, int64_t ms) {
    struct timespec end;
    void *nothing;

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &end), 0);
    end.tv_sec += ms / 1000;
    end.tv_nsec += ms % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    return pthread_timedjoin_np(thread, &nothing, &end) == 0;
}

static void *reads(void *arg) {
    struct aside *aside = arg;

    json_decref(state_get(aside->state, aside->plugin, aside->key));
    return NULL;
}

static void *puts_two(void *arg) {
    struct aside *aside = arg;

    return state_put(aside->state, aside->plugin, aside->key, json_integer(2), NULL) < 0 ? arg : NULL;
}

static json_t *update_beside(struct aside *aside, void *(*run)(void *), int64_t ms) {
    assert_int_equal(pthread_create(&aside->thread, NULL, run, aside), 0);
    aside->ended = ends_within(aside->thread, ms);
    return json_integer(1);
}

static json_t *while_it_is_read(const json_t *current, void *arg) {
    (void)current;
    return update_beside(arg, reads, 10000);
}

static json_t *while_another_is_put(const json_t *current, void *arg) {
    (void)current;
    return update_beside(arg, puts_two, 10000);
}

static json_t *while_it_is_put(const json_t *current, void *arg) {
    (void)current;
    return update_beside(arg, puts_two, 50);
}

static void lets_others_in_while_a_value_is_updated(void **unused) {
    static const char *const places[][2] = {{"b", "k"}, {"a", "l"}, {"a", "k"}};
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(state_free) struct state *state = state_new(ledger);

    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        struct aside aside = {.state = state, .plugin = places[i][0], .key = places[i][1]};
        assert_int_equal(state_update(state, "a", "k", while_it_is_read, &aside, NULL), 0);
        assert_true(aside.ended);
        if (i == 2)
            break; /* the same key: read only */
        assert_int_equal(state_update(state, "a", "k", while_another_is_put, &aside, NULL), 0);
        assert_true(aside.ended);
        holds(state, aside.plugin, aside.key, "2");
    }
    holds(state, "a", "k", "1");
}

static void keeps_a_put_of_the_same_key_waiting(void **unused) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(state_free) struct state *state = state_new(ledger);
    struct aside aside = {.state = state, .plugin = "a", .key = "k"};

    (void)unused;
    assert_int_equal(state_update(state, "a", "k", while_it_is_put, &aside, NULL), 0);
    assert_false(aside.ended);
    assert_true(ends_within(aside.thread, 10000));
    holds(state, "a", "k", "2"); /* it came after the update, and is not lost */
}

static int put_numbered(struct state *state, const char *plugin, int number, json_t *value, struct theseus_error *err) {
    char key[16];

    (void)snprintf(key, sizeof(key), "%d", number);
    return state_put(state, plugin, key, value, err);
}

static void takes_so_many_keys_of_a_plugin_and_no_more(void **unused) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(state_free) struct state *state = state_new(ledger);
    struct theseus_error err = {0};

    (void)unused;
    for (int i = 0; i < LIMIT_STATE_KEYS; i++)
        assert_int_equal(put_numbered(state, "a", i, json_true(), NULL), 0);
    assert_int_equal(state_put(state, "a", "more", json_true(), &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.message, "plugin 'a' has 10000 keys already"));
    holds(state, "a", "more", NULL);
    assert_int_equal(ledger_count(ledger), LIMIT_STATE_KEYS);
    assert_int_equal(put_numbered(state, "a", 5, json_false(), NULL), 0); /* one that is there changes */
    assert_int_equal(state_put(state, "b", "more", json_true(), NULL), 0);
    assert_int_equal(state_put(state, "a", "never there", json_null(), NULL), 0);
    assert_int_equal(state_put(state, "a", "more", json_true(), NULL), -1);
    assert_int_equal(put_numbered(state, "a", 7, json_null(), NULL), 0);
    assert_int_equal(state_put(state, "a", "more", json_true(), NULL), 0);
    CLEANUP(state_free) struct state *next = state_new(ledger); /* counts what it finds */
    assert_int_equal(put_numbered(next, "a", 7, json_true(), NULL), -1);
}

static void takes_so_many_bytes_of_a_plugin_and_no_more(void **unused) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(state_free) struct state *state = state_new(ledger);
    CLEANUP(free) char *text = xcalloc(LIMIT_STATE_VALUE, 1);
    const int quotes = 2, full = LIMIT_STATE_BYTES / LIMIT_STATE_VALUE;
    struct theseus_error err = {0};

    (void)unused;
    memset(text, 'x', LIMIT_STATE_VALUE - 1);
    for (int i = 0; i < full; i++)
        assert_int_equal(put_numbered(state, "a", i, json_stringn(text, LIMIT_STATE_VALUE - quotes), NULL), 0);
    assert_int_equal(put_numbered(state, "a", full, json_integer(1), &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.message, "plugin 'a' keeps 134217728 bytes already, and with 1 more"));
    assert_int_equal(put_numbered(state, "b", full, json_integer(1), NULL), 0);
    assert_int_equal(put_numbered(state, "a", 0, json_stringn(text, LIMIT_STATE_VALUE - quotes - 1), NULL), 0);
    assert_int_equal(put_numbered(state, "a", full, json_integer(1), NULL), 0); /* one byte is free */
    assert_int_equal(put_numbered(state, "a", full + 1, json_integer(1), NULL), -1);
    assert_int_equal(put_numbered(state, "a", 0, json_stringn(text, LIMIT_STATE_VALUE - quotes), NULL), -1);
    assert_int_equal(put_numbered(state, "a", 1, json_null(), NULL), 0);
    assert_int_equal(put_numbered(state, "a", 0, json_stringn(text, LIMIT_STATE_VALUE - quotes), NULL), 0);
    CLEANUP(state_free) struct state *next = state_new(ledger); /* counts what it finds */
    assert_int_equal(put_numbered(next, "a", 1, json_stringn(text, LIMIT_STATE_VALUE - quotes), NULL), -1);
    assert_int_equal(put_numbered(next, "a", 1, json_stringn(text, LIMIT_STATE_VALUE - quotes - 1), NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_values_by_plugin_and_key),
        cmocka_unit_test(gives_a_copy),
        cmocka_unit_test(takes_keys_and_values_up_to_their_limits),
        cmocka_unit_test(is_there_again_for_the_next_image),
        cmocka_unit_test(updates_as_it_is_told),
        cmocka_unit_test(loses_no_update),
        cmocka_unit_test(lets_others_in_while_a_value_is_updated),
        cmocka_unit_test(keeps_a_put_of_the_same_key_waiting),
        cmocka_unit_test(takes_so_many_keys_of_a_plugin_and_no_more),
        cmocka_unit_test(takes_so_many_bytes_of_a_plugin_and_no_more),
    };

    return cmocka_run_group_tests_name("plugin/state", tests, NULL, NULL);
}
