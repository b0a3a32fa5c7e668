#include "test.h"

#include "plugin/ban.h"

#include "base/mem.h"

static void put(struct ledger *ledger, const char *text) {
    CLEANUP(batch_fini) struct batch batch = {0};
    CLEANUP(ban_fini) struct ban ban = {0};
    json_auto_t *packed = json_loads(text, 0, NULL);

    assert_int_equal(ban_unpack(&ban, packed, NULL), 0);
    ban_put(&batch, &ban);
    assert_int_equal(ledger_commit(ledger, &batch, NULL), 0);
}

#define OLD                                                                                                        \
    "{\"hash\":\"aa\",\"plugin\":\"x\",\"file\":\"/p/x.so\",\"version\":\"1.0\",\"signal\":\"SIGSEGV\",\"where\":" \
    "\"tool 'boom'\",\"good_hash\":\"\",\"good_version\":\"\",\"tools\":[\"boom\",\"calm\"],\"at_ms\":1000,"       \
    "\"crashes\":3,\"window\":60,\"probation\":false}"
#define YOUNG                                                                                                                        \
    "{\"hash\":\"bb\",\"plugin\":\"x\",\"file\":\"/p/x.so\",\"version\":\"2.0\",\"signal\":\"SIGBUS\",\"where\":\"\","               \
    "\"good_hash\":\"cc\",\"good_version\":\"0.9\",\"failed\":\"\",\"tools\":[\"boom\"],\"at_ms\":2000,\"crashes\":1,\"window\":60," \
    "\"probation\":true}"

static void is_found_by_image_plugin_and_tool(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(ban_fini) struct ban by_hash = {0}, by_plugin = {0}, by_tool = {0}, none = {0};

    (void)state;
    assert_false(ban_find(ledger, "aa", &none));
    put(ledger, OLD);
    put(ledger, YOUNG);
    assert_true(ban_find(ledger, "aa", &by_hash));
    assert_string_equal(by_hash.version, "1.0");
    assert_true(ban_of_plugin(ledger, "x", &by_plugin));
    assert_string_equal(by_plugin.hash, "bb"); /* the youngest */
    assert_true(ban_of_tool(ledger, "calm", &by_tool));
    assert_string_equal(by_tool.hash, "aa");
    assert_false(ban_of_plugin(ledger, "y", &none));
    assert_false(ban_of_tool(ledger, "x", &none));
}

static void is_gone_when_it_is_dropped(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(batch_fini) struct batch batch = {0};
    CLEANUP(ban_fini) struct ban ban = {0}, none = {0};

    (void)state;
    put(ledger, OLD);
    assert_true(ban_find(ledger, "aa", &ban));
    ban_drop(&batch, &ban);
    assert_int_equal(ledger_commit(ledger, &batch, NULL), 0);
    assert_false(ban_find(ledger, "aa", &none));
}

static void is_the_same_behind_json(void **state) {
    CLEANUP(ban_fini) struct ban ban = {0};
    json_auto_t *packed = json_loads(YOUNG, 0, NULL);

    (void)state;
    assert_int_equal(ban_unpack(&ban, packed, NULL), 0);
    json_auto_t *again = ban_pack_new(&ban);
    assert_true(json_equal(packed, again));
}

static void is_none_without_an_image_or_a_plugin(void **state) {
    static const char *const texts[] = {
        "{}", "[]", "null", "{\"hash\":\"aa\"}", "{\"plugin\":\"x\"}", "{\"hash\":1,\"plugin\":[]}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct ban ban;
        json_auto_t *packed = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        assert_int_equal(ban_unpack(&ban, packed, NULL), -1);
        assert_null(ban.hash);
    }
}

static void says_what_it_did_and_how_to_mend_it(const char *text, const char *wanted) {
    CLEANUP(ban_fini) struct ban ban = {0};
    json_auto_t *packed = json_loads(text, 0, NULL);

    assert_int_equal(ban_unpack(&ban, packed, NULL), 0);
    CLEANUP(free) char *reason = ban_reason(&ban);
    assert_string_equal(reason, wanted);
}

static void gives_a_reason(void **state) {
    (void)state;
    says_what_it_did_and_how_to_mend_it(
        OLD,
        "version 1.0 of plugin 'x' crashed with SIGSEGV in tool 'boom' at 1970-01-01T00:00:01.000Z, for the 3. time "
        "within 60 s; its tools are not served. To mend it, put another file at '/p/x.so'; to try this one again, "
        "restart with reason error_recovery");
    says_what_it_did_and_how_to_mend_it(
        YOUNG,
        "version 2.0 of plugin 'x' crashed with SIGBUS at 1970-01-01T00:00:02.000Z, while it was new; version 0.9 "
        "serves instead. To mend it, put another file at '/p/x.so'; to try this one again, restart with reason "
        "error_recovery");
    says_what_it_did_and_how_to_mend_it(
        "{\"hash\":\"dd\",\"plugin\":\"y\",\"crashes\":1,\"good_hash\":\"cc\",\"good_version\":\"0.9\","
        "\"failed\":\"gone\"}",
        "plugin 'y' crashed at 1970-01-01T00:00:00.000Z, once; its tools are not served, since version 0.9, which is "
        "to serve instead, cannot be loaded (gone). To mend it, put another file in its place; to try this one again, "
        "restart with reason error_recovery");
    says_what_it_did_and_how_to_mend_it(
        "{\"hash\":\"cc\",\"plugin\":\"y\",\"version\":\"1\",\"signal\":\"SIGKILL\",\"where\":\"tool 'z'\",\"how\":"
        "\"ended by itself (exit status 3)\",\"crashes\":1}",
        "version 1 of plugin 'y': its process ended by itself (exit status 3) in tool 'z' at 1970-01-01T00:00:00.000Z, "
        "once; its tools are not served. To mend it, put another file in its place; to try this one again, restart "
        "with reason error_recovery");
    says_what_it_did_and_how_to_mend_it(
        "{\"hash\":\"dd\",\"plugin\":\"y\",\"crashes\":1}",
        "plugin 'y' crashed at 1970-01-01T00:00:00.000Z, once; its tools are not served. To mend it, put another file "
        "in its place; to try this one again, restart with reason error_recovery");
}

/* A later version may have written it. */
static void passes_over_a_record_that_it_cannot_read(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(ban_fini) struct ban ban = {0};
    const struct ban_record record = {.hash = span_of("ee"), .text = span_of("{")};

    (void)state;
    assert_int_equal(ledger_put(ledger, &ban_kind, &record, NULL), 0);
    put(ledger, OLD);
    assert_false(ban_find(ledger, "ee", &ban));
    assert_true(ban_of_plugin(ledger, "x", &ban));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_found_by_image_plugin_and_tool),
        cmocka_unit_test(is_gone_when_it_is_dropped),
        cmocka_unit_test(is_the_same_behind_json),
        cmocka_unit_test(is_none_without_an_image_or_a_plugin),
        cmocka_unit_test(gives_a_reason),
        cmocka_unit_test(passes_over_a_record_that_it_cannot_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
