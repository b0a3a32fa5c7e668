#include "test.h"

#include "rpc/revision.h"

#include <stdio.h>

#include "base/mem.h"

static void negotiates_a_legacy_revision_whatever_is_asked_for(void **state) {
    static const char *const known[] = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        assert_string_equal(revision_negotiate(known[i])->name, known[i]);
    assert_string_equal(revision_negotiate("1999-01-01")->name, "2025-11-25");
    assert_string_equal(revision_negotiate("2026-07-28")->name, "2025-11-25");
    assert_string_equal(revision_negotiate("")->name, "2025-11-25");
    assert_null(revision_find("2025-11-2"));
    assert_true(revision_modern()->modern);
    assert_false(revision_newest_legacy()->modern);
}

static void knows_what_each_understands(void **state) {
    const struct revision *first = revision_find("2024-11-05"), *second = revision_find("2025-03-26");

    (void)state;
    assert_false(first->batches || first->annotations || first->audio || first->titles || first->structured);
    assert_true(second->batches && second->annotations && second->audio && second->progress_message);
    assert_false(second->titles || second->structured || second->links || second->idless_errors);
    assert_false(revision_find("2025-06-18")->batches);
    assert_true(revision_find("2025-06-18")->structured);
    assert_false(revision_find("2025-06-18")->idless_errors);
    assert_true(revision_find("2025-11-25")->idless_errors);
}

/* The claim of a request with that _meta: 0, or the code; -1: it makes none. */
static int claim(const char *meta) {
    CLEANUP(free) char *text = xasprintf("{\"_meta\":{%s}}", meta);
    json_auto_t *params = json_loads(text, 0, NULL);
    struct theseus_error err = {0};

    assert_non_null(params);
    if (!revision_is_claimed(params))
        return -1;
    return revision_check_claim(params, &err) < 0 ? err.code : 0;
}

#define VERSION(value) "\"io.modelcontextprotocol/protocolVersion\":" value
#define CAPABILITIES(value) "\"io.modelcontextprotocol/clientCapabilities\":" value
#define LEVEL(value) "\"io.modelcontextprotocol/logLevel\":" value

static void checks_what_a_modern_request_says(void **state) {
    (void)state;
    assert_int_equal(claim("\"progressToken\":1"), -1);
    assert_int_equal(claim(VERSION("\"2026-07-28\"") "," CAPABILITIES("{}")), 0);
    assert_int_equal(claim(VERSION("\"2026-07-28\"") "," CAPABILITIES("{}") "," LEVEL("\"debug\"")), 0);
    assert_int_equal(claim(VERSION("\"2026-07-28\"") "," CAPABILITIES("{}") "," LEVEL("\"loud\"")), ERR_PARAMS);
    assert_int_equal(claim(VERSION("\"2026-07-28\"") "," CAPABILITIES("{}") "," LEVEL("1")), ERR_PARAMS);
    assert_int_equal(claim(VERSION("\"2026-07-28\"")), ERR_PARAMS);
    assert_int_equal(claim(VERSION("\"2026-07-28\"") "," CAPABILITIES("[]")), ERR_PARAMS);
    assert_int_equal(claim(CAPABILITIES("{}")), ERR_PARAMS);
    assert_int_equal(claim(VERSION("5") "," CAPABILITIES("{}")), ERR_PARAMS);
    assert_int_equal(claim(VERSION("\"2025-11-25\"") "," CAPABILITIES("{}")), ERR_VERSION);
    assert_int_equal(claim(VERSION("\"2030-01-01\"") "," CAPABILITIES("{}")), ERR_VERSION);
    assert_false(revision_is_claimed(NULL));
}

static void names_what_is_served_and_what_was_asked_for(void **state) {
    json_auto_t *params = json_loads("{\"_meta\":{" VERSION("\"2030-01-01\"") "}}", 0, NULL);
    json_auto_t *data = revision_unsupported_data_new(params);
    json_auto_t *expected = json_pack("{s:[s], s:s}", "supported", "2026-07-28", "requested", "2030-01-01");

    (void)state;
    assert_true(json_equal(data, expected));
}

static void knows_the_levels_of_a_log(void **state) {
    static const char *const levels[] = {"debug", "info",     "notice", "warning",
                                         "error", "critical", "alert",  "emergency"};

    (void)state;
    for (int i = 0; i < (int)ARRAY_SIZE(levels); i++) {
        assert_int_equal(revision_log_level(levels[i]), i);
        assert_string_equal(revision_log_level_name(i), levels[i]);
    }
    assert_int_equal(revision_log_level("Debug"), -1);
    assert_string_equal(revision_log_level_name(-5), "debug");
    assert_string_equal(revision_log_level_name(99), "emergency");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(negotiates_a_legacy_revision_whatever_is_asked_for),
        cmocka_unit_test(knows_what_each_understands),
        cmocka_unit_test(checks_what_a_modern_request_says),
        cmocka_unit_test(names_what_is_served_and_what_was_asked_for),
        cmocka_unit_test(knows_the_levels_of_a_log),
    };

    return cmocka_run_group_tests_name("rpc/revision", tests, NULL, NULL);
}
