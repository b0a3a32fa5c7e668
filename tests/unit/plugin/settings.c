#include "test.h"

#include "plugin/settings.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "config/load.h"
#include "plugin/fixture.h"

#define SCHEMA                                                                                            \
    "{\"type\":\"object\",\"properties\":{"                                                               \
    "\"text\":{\"type\":\"string\",\"maxLength\":20},\"on\":{\"type\":\"boolean\"},"                      \
    "\"count\":{\"type\":\"integer\",\"minimum\":1,\"default\":7},\"ratio\":{\"type\":\"number\"},"       \
    "\"words\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"                                     \
    "\"numbers\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}},\"object\":{\"type\":\"object\"}," \
    "\"plain\":{},\"password\":{\"type\":\"string\",\"writeOnly\":true,\"pattern\":\"^[a-z]*$\"},"        \
    "\"pin\":{\"type\":\"integer\",\"writeOnly\":true}}}"

static const struct theseus_plugin plugin = {.name = "p", .version = "1", .config_schema = SCHEMA};

/* What the plugin gets from that text; NULL: refused. New reference. */
static json_t *made(const struct theseus_plugin *of, const char *text, struct theseus_error *err) {
    struct said said;
    CLEANUP(config_free) struct config *config = load_text(text, &said);
    json_t *settings = NULL;

    if (!config)
        print_error("%s", said.text);
    assert_non_null(config);
    return settings_new(&settings, of, config, NULL, err) < 0 ? NULL : settings;
}

static void becomes(const char *line, const char *key, const char *expected) {
    CLEANUP(free) char *text = xasprintf("[plugin:p]\n%s\n", line);
    json_auto_t *wanted = json_loads(expected, JSON_DECODE_ANY, NULL);
    struct theseus_error err = {0};
    json_auto_t *settings = made(&plugin, text, &err);

    if (!settings || !json_equal(json_object_get(settings, key), wanted))
        print_error("%s: %s\n", line, err.message);
    assert_non_null(settings);
    assert_true(json_equal(json_object_get(settings, key), wanted));
}

static void refuses_it(const char *line, const char *why) {
    CLEANUP(free) char *text = xasprintf("[plugin:p]\n%s\n", line);
    struct theseus_error err = {0};

    assert_null(made(&plugin, text, &err));
    assert_string_equal(err.message, why);
}

static void converts_to_the_declared_types(void **state) {
    (void)state;
    becomes("text = 5", "text", "\"5\"");
    becomes("plain = true", "plain", "\"true\"");
    becomes("on = yes", "on", "true");
    becomes("on = TRUE", "on", "true");
    becomes("on = off", "on", "false");
    becomes("on = 0", "on", "false");
    becomes("count = 9223372036854775807", "count", "9223372036854775807");
    becomes("ratio = 0.5", "ratio", "0.5");
    becomes("ratio = -3", "ratio", "-3");
    becomes("words = a, b c ,, d", "words", "[\"a\",\"b c\",\"d\"]");
    becomes("words =", "words", "[]");
    becomes("words = a\n b\n c", "words", "[\"a\",\"b\",\"c\"]");
    becomes("numbers = 1,2", "numbers", "[1,2]");
    becomes("object = {\"a\":[1]}", "object", "{\"a\":[1]}");
}

static void fills_in_what_is_not_said(void **state) {
    struct theseus_error err = {0};

    (void)state;
    becomes("on = yes", "count", "7");
    becomes("count = 8", "count", "8");
    json_auto_t *without_section = made(&plugin, "", &err);
    assert_int_equal(json_object_size(without_section), 1);
    const struct theseus_plugin bare = {.name = "p", .version = "1"};
    json_auto_t *without_schema = made(&bare, "", &err);
    assert_int_equal(json_object_size(without_schema), 0);
}

static void names_file_line_and_key_of_what_is_wrong(void **state) {
    (void)state;
    refuses_it("on = maybe", "/etc/x.ini:2: key 'on': 'maybe' is no boolean");
    refuses_it("on = yes\ncount = 1x", "/etc/x.ini:3: key 'count': '1x' is no integer");
    refuses_it("count = 9223372036854775808", "/etc/x.ini:2: key 'count': '9223372036854775808' is no integer");
    refuses_it("ratio = five", "/etc/x.ini:2: key 'ratio': 'five' is no number");
    refuses_it("numbers = 1, x", "/etc/x.ini:2: key 'numbers': '1, x' is no array");
    refuses_it("object = {", "/etc/x.ini:2: key 'object': '{' is no object");
    refuses_it("on = yes\ncuont = 5", "/etc/x.ini:3: unknown key 'cuont'; did you mean 'count'?");
    refuses_it("zzzzzz = 5", "/etc/x.ini:2: unknown key 'zzzzzz'");
    const struct theseus_plugin bare = {.name = "p", .version = "1"};
    struct theseus_error err = {0};
    assert_null(made(&bare, "[plugin:p]\nany = 1\n", &err));
    assert_string_equal(err.message, "/etc/x.ini:2: unknown key 'any'");
}

static void names_the_rule_that_the_schema_breaks(void **state) {
    struct theseus_error err = {0};

    (void)state;
    assert_null(made(&plugin, "[plugin:p]\ncount = 0\n", &err));
    assert_string_equal(err.message, "/etc/x.ini:2: key 'count': must be at least 1, is 0");
}

static void refuses_a_schema_that_is_none(void **state) {
    static const char *const schemas[] = {"{", "{\"type\":5}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(schemas); i++) {
        const struct theseus_plugin broken = {.name = "p", .version = "1", .config_schema = schemas[i]};
        struct theseus_error err = {0};
        assert_null(made(&broken, "", &err));
        assert_ptr_equal(strstr(err.message, "config_schema: "), err.message);
    }
}

/* The secret is long enough to be recognised wherever it turns up. */
static void says_no_secret(const char *line) {
    CLEANUP(free) char *text = xasprintf("[plugin:p]\n%s\n", line);
    struct theseus_error err = {0};

    assert_null(made(&plugin, text, &err));
    if (strstr(err.message, "SECRET"))
        print_error("%s\n", err.message);
    assert_null(strstr(err.message, "SECRET"));
    assert_non_null(strstr(err.message, "/etc/x.ini:"));
}

static void resolves_secrets_and_never_says_them(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = path_join(place, "secret");
    CLEANUP(free) char *line = xasprintf("password = file:%s", path);

    (void)state;
    assert_int_equal(setenv("UNIT_TEST_WORD", "word", 1), 0);
    assert_int_equal(setenv("UNIT_TEST_SECRET", "1SECRET", 1), 0);
    write_bytes(path, "fromfile\n", 9);
    assert_int_equal(chmod(path, 0600), 0);
    becomes("password = env:UNIT_TEST_WORD", "password", "\"word\"");
    becomes(line, "password", "\"fromfile\"");
    says_no_secret("password = env:UNIT_TEST_SECRET"); /* the pattern refuses it */
    says_no_secret("pin = env:UNIT_TEST_SECRET");
    says_no_secret("on = env:UNIT_TEST_SECRET");
    says_no_secret("pin = 1SECRET"); /* written down, and yet the plugin calls it secret */
    says_no_secret("password = 1SECRET");
    refuses_it("password = env:UNIT_TEST_WORD\ncount = 0",
               "/etc/x.ini:3: key 'count': must be at least 1, is 0"); /* that is none */
    refuses_it("password = env:UNIT_TEST_NOBODY",
               "/etc/x.ini:2: key 'password': the environment variable 'UNIT_TEST_NOBODY' is not set");
}

static void hands_over_the_sections_of_tools(void **state) {
    static const struct theseus_plugin runner = {.name = "runner", .version = "1", .sections = "tool"};
    static const struct theseus_plugin other = {.name = "other", .version = "1", .sections = "thing"};
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(setenv("UNIT_TEST_WORD", "word", 1), 0);
    json_auto_t *settings = made(&runner, "[tool:b]\ncommand = env:UNIT_TEST_WORD\n[tool:a]\nx = 5\n", &err);
    json_auto_t *expected = json_pack("{s:{s:{s:s}, s:{s:s}}}", "tool", "a", "x", "5", "b", "command", "word");
    assert_true(json_equal(settings, expected));
    json_auto_t *none = made(&other, "[tool:b]\ncommand = x\n", &err);
    assert_true(json_is_object(json_object_get(none, "thing")));
    assert_int_equal(json_object_size(json_object_get(none, "thing")), 0);
    assert_null(made(&runner, "[tool:a]\nx = 1\ny = env:UNIT_TEST_NOBODY\n", &err));
    assert_ptr_equal(strstr(err.message, "/etc/x.ini:3: key 'y': "), err.message);
}

static void refuses_a_section_that_two_files_have(void **state) {
    static const struct theseus_plugin runner = {.name = "runner", .version = "1", .sections = "tool"};
    struct said said;
    CLEANUP(config_free) struct config *config = load_text("[tool:a]\nx = 1\n", &said);
    CLEANUP(config_free) struct config *more = load_text("\n[tool:a]\nx = 2\n", &said);
    const struct settings_extra extra = {more->tool_sections, more->tool_count};
    struct theseus_error err = {0};
    json_t *settings = NULL;

    (void)state;
    assert_int_equal(settings_new(&settings, &runner, config, &extra, &err), -1);
    assert_string_equal(err.message, "/etc/x.ini:2: section 'a' is there already in another file");
}

static void blames(const char *message, const char *expected, const char *section) {
    static const char text[] = "[plugin:p]\nkey = 1\n[tool:build]\ntimeout = x\n";
    struct said said;
    CLEANUP(config_free) struct config *config = load_text(text, &said);
    struct theseus_error err = {0};

    (void)fail(&err, ERR_INVALID, "%s", message);
    const struct config_section *found = settings_blame(config, NULL, &err);
    assert_string_equal(err.message, expected);
    assert_true(section ? found && strcmp(found->name, section) == 0 : !found);
}

static void puts_file_and_line_before_a_plugins_refusal(void **state) {
    (void)state;
    blames("check: [tool:build] timeout: must be a number",
           "/etc/x.ini:4: check: [tool:build] timeout: must be a number", "build");
    blames("[plugin:p] key: wrong", "/etc/x.ini:2: [plugin:p] key: wrong", "p");
    blames("[tool:build] is odd", "/etc/x.ini:3: [tool:build] is odd", "build");
    blames("[tool:nobody] timeout: x", "[tool:nobody] timeout: x", NULL);
    blames("nothing is named", "nothing is named", NULL);
    blames("[", "[", NULL);
    blames("[tool:", "[tool:", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converts_to_the_declared_types),
        cmocka_unit_test(fills_in_what_is_not_said),
        cmocka_unit_test(names_file_line_and_key_of_what_is_wrong),
        cmocka_unit_test(names_the_rule_that_the_schema_breaks),
        cmocka_unit_test(refuses_a_schema_that_is_none),
        cmocka_unit_test(resolves_secrets_and_never_says_them),
        cmocka_unit_test(hands_over_the_sections_of_tools),
        cmocka_unit_test(refuses_a_section_that_two_files_have),
        cmocka_unit_test(puts_file_and_line_before_a_plugins_refusal),
    };

    return cmocka_run_group_tests_name("plugin/settings", tests, NULL, NULL);
}
