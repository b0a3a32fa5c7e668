#include "test.h"

#include "../../../plugins/tasks/clock.c"
#include "../../../plugins/tasks/dump.c"
#include "../../../plugins/tasks/id.c"
#include "../../../plugins/tasks/text.c"
#include "../../../plugins/tasks/transition.c"
#include "../../../plugins/tasks/work.c"

#include "../../../plugins/tasks/spares.c"
#include "../../../plugins/tasks/sql.c"

#include "../../../plugins/tasks/search.c"

/* Says what it is that does not hold. */
static void expect(bool holds, const char *what, const char *other) {
    if (!holds)
        print_error("%s %s\n", what, other);
    assert_true(holds);
}

/* ---- JSON as text ---- */

/* What is written is read as the same value, whatever it holds. */
static void dumps_what_is_read_as_the_same(void **state) {
    static const char *const values[] = {
        "{}",
        "[]",
        "[null,true,false,0,-7,9007199254740993,0.1,-1.5e300]",
        "{\"a\":{\"b\":[[],{},[1,{\"c\":\"d\"}]]},\"\":\"\"}",
        "{\"quo\\\"te\":\"back\\\\slash / \\n\\r\\t\",\"é\":\"日本 \\ud83d\\ude00\\u007f\"}",
        "[\"\\u0001\\u0008\\u000c\\u001f\\u0000 behind a NUL\",\"\\\"\",\"\\\\\\\"\"]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        json_t *value = json_loads(values[i], JSON_ALLOW_NUL, NULL);
        struct text text = {0};
        assert_non_null(value);
        dump_json(&text, value);
        json_t *read = json_loads(text.data, JSON_ALLOW_NUL, NULL);
        expect(read && json_equal(read, value) && strlen(text.data) == text.len, "not the same:", values[i]);
        json_decref(read);
        json_decref(value);
        text_fini(&text);
    }
}

static void dumps_compactly(void **state) {
    json_t *value = json_pack("{s:s, s:[i, i, n], s:{}}", "text", "two\nlines", "list", 1, 2, "none");
    struct text text = {0};

    (void)state;
    dump_json(&text, value);
    assert_string_equal(text.data, "{\"text\":\"two\\nlines\",\"list\":[1,2,null],\"none\":{}}");
    json_decref(value);
    text_fini(&text);
}

/* ---- states ---- */

/* A row for each state in the order of the enumeration: may it be followed by pending, in_progress, …? */
static const char *const allowed[STATUS_COUNT] = {
    [STATUS_PENDING] = ".xx..xx",   [STATUS_IN_PROGRESS] = "x.xxxx.", [STATUS_BLOCKED] = "xx..xxx",
    [STATUS_COMPLETED] = "......x", [STATUS_FAILED] = ".x....x",      [STATUS_CANCELLED] = "x.....x",
    [STATUS_ARCHIVED] = ".......",
};

static void allows_what_the_table_says(void **state) {
    (void)state;
    for (enum status from = 0; from < STATUS_COUNT; from++)
        for (enum status to = 0; to < STATUS_COUNT; to++)
            expect(transition_allowed(from, to) == (allowed[from][to] == 'x'), status_name(from), status_name(to));
}

/* The words that a refusal says are those that are allowed. */
static void names_what_may_follow(void **state) {
    (void)state;
    for (enum status from = 0; from < STATUS_COUNT; from++) {
        CLEANUP(text_fini) struct text padded = {0};
        text_print(&padded, ", %s,", transition_choices(from));
        for (enum status to = 0; to < STATUS_COUNT; to++) {
            CLEANUP(text_fini) struct text word = {0};
            text_print(&word, " %s,", status_name(to));
            assert_int_equal(strstr(padded.data, word.data) != NULL, transition_allowed(from, to));
        }
    }
    assert_string_equal(transition_choices(STATUS_ARCHIVED), "nothing");
}

static void finds_a_state_by_its_name(void **state) {
    (void)state;
    for (enum status status = 0; status < STATUS_COUNT; status++)
        assert_int_equal(status_find(status_name(status)), status);
    assert_int_equal(status_find("active"), STATUS_IN_PROGRESS);
    assert_int_equal(status_find("done"), STATUS_COUNT);
}

/* ---- times ---- */

static void reads(const char *text, int64_t expected) {
    int64_t ms = -1;

    expect(clock_parse(text, &ms), text, "is not read");
    assert_int_equal(ms, expected);
}

static void reads_dates_and_times(void **state) {
    (void)state;
    reads("1970-01-01", 0);
    reads("1970-01-01T00:00:01Z", 1000);
    reads("1970-01-01 00:01", 60000);
    reads("1970-01-01T00:00:00.25Z", 250);
    reads("1970-01-01T00:00:00.123456789Z", 123);
    reads("1970-01-01T01:00:00+01:00", 0);
    reads("1970-01-01T00:00:00-0130", 5400000);
    reads("2024-02-29", 1709164800000);
    reads("2000-12-31T23:59:60Z", 978307200000);
}

static void refuses_what_is_no_time(void **state) {
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-1-01",
                                      "2026-13-01",
                                      "2026-02-29",
                                      "2026-00-10",
                                      "2026-01-01T",
                                      "2026-01-01T24:00",
                                      "2026-01-01x",
                                      "tomorrow",
                                      "2026-01-01T10:00:0",
                                      "2026-01-01T10:00+1",
                                      "2026-01-01T10:00+25:00"};
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(!clock_parse(bad[i], &ms), bad[i], "was read");
}

static void prints_what_it_reads(void **state) {
    char text[CLOCK_TEXT];
    int64_t ms = 0;

    (void)state;
    clock_print(1772357400000, text);
    assert_string_equal(text, "2026-03-01T09:30:00Z");
    assert_true(clock_parse(text, &ms));
    assert_int_equal(ms, 1772357400000);
}

/* ---- names ---- */

static void makes_names_that_sort_in_their_order(void **state) {
    struct id_source source = {0};
    char before[ID_TEXT] = "", name[ID_TEXT];

    (void)state;
    for (int i = 0; i < 100000; i++) {
        id_make(&source, "task", name);
        assert_true(strcmp(before, name) < 0);
        memcpy(before, name, sizeof(name));
    }
    assert_int_equal(strlen(name), strlen("task_") + 14);
}

static void goes_on_behind_the_last_chance(void **state) {
    struct id_source source = {.ms = INT64_C(4000000000000), .chance = (1u << 25) - 1};
    char name[ID_TEXT];

    (void)state;
    id_make(&source, "task", name);
    assert_true(source.ms == INT64_C(4000000000001)); /* a clock that was set back makes no name again, either */
}

/* ---- text ---- */

static void cuts_between_characters(void **state) {
    (void)state;
    assert_int_equal(text_fitting("abc", 3), 3);
    assert_int_equal(text_fitting("abc", 2), 2);
    assert_int_equal(text_fitting("a\xc3\xa4z", 2), 1);
    assert_int_equal(text_fitting("a\xc3\xa4z", 3), 3);
    assert_int_equal(text_fitting("\xe2\x80\x93", 2), 0);
}

static void prints_beyond_what_there_is_room_for(void **state) {
    CLEANUP(text_fini) struct text text = {0};
    CLEANUP(text_fini) struct text twice = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        text_print(&text, "%d,", i);
    text_print(&twice, "%s%s", text.data, text.data);
    assert_int_equal(twice.len, 2 * text.len);
    assert_int_equal(strlen(twice.data), twice.len);
    assert_memory_equal(twice.data + text.len, text.data, text.len);
}

/* ---- the search ---- */

/* `pieces`: as JSON; `expected` NULL: the index is not asked. */
static void searches_pieces(const char *typed, const char *expected, const char *pieces) {
    CLEANUP(text_fini) struct text text = {0};
    json_auto_t *list = json_array(), *wanted = json_loads(pieces, 0, NULL);

    search_expression(&text, list, typed, 7);
    assert_int_equal(text.len > 0, expected != NULL);
    if (expected)
        assert_string_equal(text.data, expected);
    assert_true(json_equal(list, wanted));
}

static void searches(const char *typed, const char *expected) {
    searches_pieces(typed, expected, "[]");
}

#define IN(terms) "{title description} : (" terms ") AND session : \"7\""

static void makes_strings_of_what_is_typed(void **state) {
    (void)state;
    searches("one", IN("\"one\""));
    searches("  one\ttwo ", IN("\"one\" AND \"two\""));
    searches("\"one two\" three", IN("\"one two\" AND \"three\""));
    searches("begin* x", IN("\"begin\" * AND \"x\""));
    searches("NOT title:x", IN("\"NOT\" AND \"title:x\""));
    searches("a\"b", IN("\"a b\""));
    searches("\"\"", IN("\" \""));
    searches("", IN("\" \""));
    searches("don’t C++ привет é", IN("\"don’t\" AND \"C++\" AND \"привет\" AND \"é\""));
}

static void makes_pieces_of_what_the_index_has_not(void **state) {
    (void)state;
    searches_pieces("🚀", NULL, "[\"🚀\"]");
    searches_pieces("Ship 🚀*", IN("\"Ship\""), "[\"🚀\"]");
    searches_pieces("登录 x", IN("\"x\""), "[\"登录\"]");
    searches_pieces("\"重构 parser\" 修复*", NULL, "[\"重构 parser\", \"修复\"]");
    searches_pieces("-> *", NULL, "[\"->\", \"*\"]");
    searches_pieces("ログイン", NULL, "[\"ログイン\"]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dumps_what_is_read_as_the_same),
        cmocka_unit_test(dumps_compactly),
        cmocka_unit_test(allows_what_the_table_says),
        cmocka_unit_test(names_what_may_follow),
        cmocka_unit_test(finds_a_state_by_its_name),
        cmocka_unit_test(reads_dates_and_times),
        cmocka_unit_test(refuses_what_is_no_time),
        cmocka_unit_test(prints_what_it_reads),
        cmocka_unit_test(makes_names_that_sort_in_their_order),
        cmocka_unit_test(goes_on_behind_the_last_chance),
        cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(prints_beyond_what_there_is_room_for),
        cmocka_unit_test(makes_strings_of_what_is_typed),
        cmocka_unit_test(makes_pieces_of_what_the_index_has_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
