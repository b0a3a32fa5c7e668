#include "test.h"

#include "store/audit.h"

#include "scratch.h"
#include "store/row.h"

static void add(struct store *store, int64_t at_ms, const char *action) {
    const struct audit_line line = {.at_ms = at_ms, .by.uid = -1, .action = action, .result = "done"};

    assert_int_equal(audit_add(store, &line, NULL), 0);
}

static void gives_back_every_field(void **state) {
    const struct audit_line line = {.at_ms = 1763800000123,
                                    .by = {"client", "2.0", "unix", 1001},
                                    .session = "s-1",
                                    .action = "restart",
                                    .target = "server",
                                    .result = "refused",
                                    .detail = "[access] restart = no"};
    json_auto_t *all = NULL;
    json_auto_t *want = json_pack("[{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:i}}]", "timestamp",
                                  "2025-11-22T08:26:40.123Z", "action", "restart", "target", "server", "result",
                                  "refused", "detail", "[access] restart = no", "session", "s-1", "requested_by",
                                  "name", "client", "version", "2.0", "transport", "unix", "uid", 1001);

    assert_int_equal(audit_add(store_of(state), &line, NULL), 0);
    assert_int_equal(audit_list(store_of(state), 0, 0, &all, NULL), 0);
    assert_true(json_equal(all, want));
}

static void shows_what_is_unknown_as_null(void **state) {
    json_auto_t *all = NULL;

    add(store_of(state), 1, "reload");
    assert_int_equal(audit_list(store_of(state), 0, 0, &all, NULL), 0);
    json_t *line = json_array_get(all, 0);
    assert_true(json_is_null(json_object_get(line, "target")));
    assert_true(json_is_null(json_object_get(line, "session")));
    assert_true(json_is_null(json_object_get(json_object_get(line, "requested_by"), "uid")));
}

static void lists_the_youngest_first_within_the_limit(void **state) {
    static const char *const actions[] = {"b", "a", "c"};
    static const int64_t times[] = {2, 1, 3};
    json_auto_t *two = NULL, *since = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        add(store_of(state), times[i], actions[i]);
    assert_int_equal(audit_list(store_of(state), 0, 2, &two, NULL), 0);
    assert_int_equal(audit_list(store_of(state), 3, 0, &since, NULL), 0);
    assert_int_equal(json_array_size(two), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(two, 0), "action")), "c");
    assert_string_equal(json_string_value(json_object_get(json_array_get(two, 1), "action")), "b");
    assert_int_equal(json_array_size(since), 1);
}

static void finds_the_youngest_of_an_action(void **state) {
    json_auto_t *none = json_null(), *last = NULL;

    assert_int_equal(audit_last(store_of(state), "a", &none, NULL), 0);
    assert_null(none);
    add(store_of(state), 1, "a");
    add(store_of(state), 3, "a");
    add(store_of(state), 4, "b");
    assert_int_equal(audit_last(store_of(state), "a", &last, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(last, "timestamp")), "1970-01-01T00:00:00.003Z");
}

/* What is kept of a client's name that has `len` bytes, the last two of them one character. */
static size_t kept(struct store *store, size_t len) {
    CLEANUP(free) char *name = xcalloc(1, len + 1);
    const struct audit_line line = {.at_ms = 1, .by.name = name, .action = "restart", .result = "done"};
    json_auto_t *all = NULL;
    int removed;

    memset(name, 'x', len);
    memcpy(name + len - 2, "\xc3\xa4", 2);
    assert_int_equal(audit_add(store, &line, NULL), 0);
    assert_int_equal(audit_list(store, 0, 0, &all, NULL), 0);
    assert_int_equal(audit_sweep(store, 2, &removed, NULL), 0);
    const json_t *by = json_object_get(json_array_get(all, 0), "requested_by");
    return json_string_length(json_object_get(by, "name"));
}

static void cuts_a_text_that_is_too_long_at_a_character(void **state) {
    assert_int_equal(kept(store_of(state), ROW_TEXT_BYTES), ROW_TEXT_BYTES);
    assert_int_equal(kept(store_of(state), ROW_TEXT_BYTES + 1), ROW_TEXT_BYTES - 1);
    assert_int_equal(kept(store_of(state), ROW_TEXT_BYTES + 2), ROW_TEXT_BYTES);
    assert_int_equal(kept(store_of(state), 100000), ROW_TEXT_BYTES);
}

static void refuses_a_line_that_says_nothing(void **state) {
    const struct audit_line line = {.at_ms = 1, .action = NULL, .result = "done"};
    struct theseus_error err = {0};

    assert_int_equal(audit_add(store_of(state), &line, &err), -1);
    assert_non_null(strstr(err.message, "audit"));
}

static void reads_nothing_and_makes_nothing_without_a_database(void **state) {
    struct scratch *scratch = *state;
    json_auto_t *all = NULL;
    int removed = -1;

    assert_int_equal(audit_list(scratch->store, 0, 0, &all, NULL), 0);
    assert_int_equal(json_array_size(all), 0);
    assert_int_equal(audit_sweep(scratch->store, INT64_MAX, &removed, NULL), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(access(scratch->path, F_OK), -1);
}

static void keeps_the_youngest(void **state) {
    json_auto_t *all = NULL;
    int removed = -1;

    for (int i = 0; i < 5; i++)
        add(store_of(state), 10 - i, "restart"); /* the clock may have been set back: the order is that of writing */
    assert_int_equal(audit_shorten(store_of(state), 5, &removed, NULL), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(audit_shorten(store_of(state), 2, &removed, NULL), 0);
    assert_int_equal(removed, 3);
    assert_int_equal(audit_list(store_of(state), 0, 0, &all, NULL), 0);
    assert_int_equal(json_array_size(all), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "timestamp")),
                        "1970-01-01T00:00:00.007Z");
}

static void forgets_what_is_older(void **state) {
    json_auto_t *all = NULL;
    int removed = -1;

    for (int i = 0; i < 5; i++)
        add(store_of(state), i, "restart");
    assert_int_equal(audit_sweep(store_of(state), 3, &removed, NULL), 0);
    assert_int_equal(removed, 3);
    assert_int_equal(audit_list(store_of(state), 0, 0, &all, NULL), 0);
    assert_int_equal(json_array_size(all), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(gives_back_every_field),
        WITH_SCRATCH(shows_what_is_unknown_as_null),
        WITH_SCRATCH(lists_the_youngest_first_within_the_limit),
        WITH_SCRATCH(finds_the_youngest_of_an_action),
        WITH_SCRATCH(cuts_a_text_that_is_too_long_at_a_character),
        WITH_SCRATCH(refuses_a_line_that_says_nothing),
        WITH_SCRATCH(reads_nothing_and_makes_nothing_without_a_database),
        WITH_SCRATCH(forgets_what_is_older),
        WITH_SCRATCH(keeps_the_youngest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
