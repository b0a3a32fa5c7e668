#include "test.h"

#include "server/reloads.h"

#include "server/served.h"
#include "store/audit.h"
#include "store/history.h"
#include "store/store.h"

static const char *const fixtures[] = {"greet", "version1", NULL};

#define CALL(id, tool, args)                                                                    \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/call\",\"params\":{\"name\":\"" tool \
    "\",\"arguments\":" args "," META "}}"
#define GREETED(id) "{\"id\":" id ",\"result\":{\"resultType\":\"complete\"}}"

/* The history from the database itself; new reference. */
static json_t *events_new(const struct served *served) {
    CLEANUP(free) char *path = xasprintf("%s/state/theseus.db", served->place);
    CLEANUP(store_free) struct store *store = store_new(path);
    const struct history_query query = {0};
    json_t *list = NULL;

    assert_int_equal(history_list(store, &query, &list, NULL), 0);
    return list;
}

/* Turns until there are so many events; the youngest (new reference). */
static json_t *await_event(struct served *served, size_t wanted) {
    for (int64_t end = clock_now_ns() + (int64_t)SERVED_SECONDS * 1000000000;; served_turn(served)) {
        json_auto_t *events = events_new(served);
        if (json_array_size(events) == wanted)
            return json_incref(json_array_get(events, 0));
        assert_true(json_array_size(events) < wanted);
        assert_true(clock_now_ns() < end);
    }
}

static const char *text(const json_t *event, const char *key) {
    return json_string_value(json_object_get(event, key));
}

static void await_load(struct served *served) {
    served_send(served, CALL("1", "greet", "{\"name\":\"x\"}"));
    served_gets(served, GREETED("1"));
}

static bool has_database(const struct served *served) {
    CLEANUP(free) char *path = xasprintf("%s/state/theseus.db", served->place);

    return access(path, F_OK) == 0;
}

static void makes_no_event_of_the_first_load(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    await_load(served);
    for (int i = 0; i < 20; i++)
        served_turn(served);
    assert_false(has_database(served));
}

static void notes_a_plugin_that_a_new_file_replaces(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    await_load(served);
    served_drop_in(served, "greet2", "greet");
    json_auto_t *event = await_event(served, 1);
    assert_string_equal(text(event, "kind"), "reload");
    assert_string_equal(text(event, "reason"), "plugin_changed");
    assert_string_equal(text(event, "subject"), "greet");
    assert_true(json_is_true(json_object_get(event, "success")));
    assert_string_equal(text(json_object_get(event, "requested_by"), "transport"), "watch");
}

static void notes_a_file_that_is_refused_and_why(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    await_load(served);
    served_drop_in(served, "abi", "abi");
    json_auto_t *event = await_event(served, 1);
    assert_true(json_is_false(json_object_get(event, "success")));
    const json_t *error = json_array_get(json_object_get(event, "errors"), 0);
    assert_non_null(strstr(text(error, "file"), "/abi.so"));
    assert_non_null(strstr(text(error, "reason"), "ABI"));
}

static void notes_a_plugin_that_is_taken_away(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    await_load(served);
    served_take_away(served, "version1");
    json_auto_t *event = await_event(served, 1);
    assert_string_equal(text(event, "subject"), "version");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_no_event_of_the_first_load),
        cmocka_unit_test(notes_a_plugin_that_a_new_file_replaces),
        cmocka_unit_test(notes_a_file_that_is_refused_and_why),
        cmocka_unit_test(notes_a_plugin_that_is_taken_away),
    };

    return cmocka_run_group_tests_name("server/reloads", tests, NULL, NULL);
}
