#include "test.h"

#include "plugin/contract.h"

#include <theseus/plugin.h>

#include "base/limits.h"
#include "plugin/fixture.h"
#include "plugin/image.h"
#include "plugin/tool.h"

static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)call;
    (void)self;
    (void)args;
    return THESEUS_DONE;
}

static struct theseus_plugin good_plugin(void) {
    return (struct theseus_plugin){
        .abi = THESEUS_ABI, .size = sizeof(struct theseus_plugin), .name = "good", .version = "1"};
}

/* 0, or -1 with the reason; the tools are thrown away. */
static int check(const struct theseus_plugin *plugin, size_t *ret_count, struct theseus_error *err) {
    struct tool **tools;
    size_t count;

    if (contract_check(plugin, &tools, &count, err) < 0)
        return -1;
    contract_tools_free(tools, count);
    *ret_count = count;
    return 0;
}

static void assert_refused(const struct theseus_plugin *plugin, const char *words) {
    struct theseus_error err = {0};
    size_t count;

    if (check(plugin, &count, &err) == 0)
        test_failed("accepted, though %s", words);
    if (!strstr(err.message, words))
        test_failed("'%s' is not in: %s", words, err.message);
}

static void assert_good(const struct theseus_plugin *plugin) {
    struct theseus_error err = {0};
    size_t count;

    if (check(plugin, &count, &err) < 0)
        test_failed("refused: %s", err.message);
}

static void needs_a_name_and_a_version_and_nothing_else(void **state) {
    struct theseus_plugin plugin = good_plugin();

    (void)state;
    assert_good(&plugin);
    plugin.name = NULL;
    assert_refused(&plugin, "the plugin's name is missing");
    plugin.name = "a.b";
    assert_refused(&plugin, "the plugin's name may hold");
    plugin = good_plugin();
    plugin.version = NULL;
    assert_refused(&plugin, "the plugin's version is missing");
    plugin.version = "";
    assert_refused(&plugin, "the plugin's version is missing");
    plugin.version = "\xff";
    assert_refused(&plugin, "its version is not UTF-8");
    plugin = good_plugin();
    plugin.description = "\xff";
    assert_refused(&plugin, "its description is not UTF-8");
    plugin = good_plugin();
    plugin.flags = 6;
    assert_refused(&plugin, "unknown flags");
}

static void bounds_name_and_version(void **state) {
    struct theseus_plugin plugin = good_plugin();
    char text[130] = "";

    (void)state;
    memset(text, 'v', 129);
    plugin.version = text;
    assert_refused(&plugin, "version is longer than 128 bytes");
    text[128] = '\0';
    assert_good(&plugin);
    plugin = good_plugin();
    plugin.name = text;
    text[LIMIT_PLUGIN_NAME + 1] = '\0';
    assert_refused(&plugin, "has more than 64 characters");
    text[LIMIT_PLUGIN_NAME] = '\0';
    assert_good(&plugin);
}

static void checks_the_schema_of_the_configuration(void **state) {
    struct theseus_plugin plugin = good_plugin();

    (void)state;
    plugin.config_schema = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"writeOnly\":true}}}";
    assert_good(&plugin);
    plugin.config_schema = "{";
    assert_refused(&plugin, "config_schema: is not JSON");
    plugin.config_schema = "{\"type\":\"string\"}";
    assert_refused(&plugin, "config_schema: its root must say \"type\": \"object\"");
    plugin.config_schema = "{\"type\":\"object\",\"wrong\":1}";
    assert_refused(&plugin, "config_schema: ");
}

static void checks_sections_and_migrations(void **state) {
    static const char *const good[] = {"CREATE TABLE a (b)", NULL};
    static const char *const bad[] = {"CREATE TABLE a (b)", " \n", NULL};
    struct theseus_plugin plugin = good_plugin();

    (void)state;
    plugin.sections = "tool";
    plugin.migrations = good;
    assert_good(&plugin);
    plugin.migrations = bad;
    assert_refused(&plugin, "migration 2 is empty");
    plugin = good_plugin();
    plugin.sections = "";
    assert_refused(&plugin, "the prefix in 'sections' is missing");
    plugin.sections = "tool:";
    assert_refused(&plugin, "the prefix in 'sections' may hold");
    plugin.sections = "plugin";
    assert_refused(&plugin, "'sections' may not be \"plugin\"");
}

static void gives_the_tools_in_their_order(void **state) {
    const struct theseus_tool declared[] = {
        {.name = "b", .call = answer}, {.name = "a", .call = answer}, {0}, {.name = "behind the end"}};
    struct theseus_plugin plugin = good_plugin();
    struct tool **tools = NULL;
    size_t count = 0;

    (void)state;
    plugin.tools = declared;
    assert_int_equal(contract_check(&plugin, &tools, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(tools[0]->name, "b");
    assert_string_equal(tools[1]->name, "a");
    contract_tools_free(tools, count);
}

static void refuses_tools_without_a_name_or_with_the_same(void **state) {
    const struct theseus_tool nameless[] = {{.name = "a", .call = answer}, {.call = answer}, {0}};
    const struct theseus_tool twins[] = {{.name = "a", .call = answer}, {.name = "a", .call = answer}, {0}};
    const struct theseus_tool half[] = {{.name = "a", .call = answer}, {.name = "b"}, {0}};
    struct theseus_plugin plugin = good_plugin();

    (void)state;
    plugin.tools = nameless;
    assert_refused(&plugin, "tool 2 has no name");
    plugin.tools = twins;
    assert_refused(&plugin, "has two tools with the name 'a'");
    plugin.tools = half;
    assert_refused(&plugin, "tool 'b': has no handler");
}

enum { NAME_BYTES = 32 };

static void bounds_the_number_of_tools(void **state) {
    CLEANUP(free) struct theseus_tool *declared = xcalloc(LIMIT_TOOLS_PER_PLUGIN + 2, sizeof(*declared));
    CLEANUP(free) char *names = xcalloc(LIMIT_TOOLS_PER_PLUGIN + 1, NAME_BYTES);
    struct theseus_plugin plugin = good_plugin();

    (void)state;
    for (int i = 0; i < LIMIT_TOOLS_PER_PLUGIN + 1; i++) {
        (void)snprintf(names + (size_t)i * NAME_BYTES, NAME_BYTES, "tool_%d", i);
        declared[i] = (struct theseus_tool){.name = names + (size_t)i * NAME_BYTES, .call = answer};
    }
    plugin.tools = declared;
    assert_refused(&plugin, "has more than 1024 tools");
    declared[LIMIT_TOOLS_PER_PLUGIN] = (struct theseus_tool){0};
    assert_good(&plugin);
}

/* What the fixture's file holds against the contract: "" where it keeps it. */
static void check_fixture(const char *name, struct theseus_error *err) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *file = fixture_copy(place, name);
    CLEANUP(image_free) struct image *image = NULL;
    size_t count;

    assert_int_equal(image_adopt(&image, file, file, NULL, err), 0);
    if (image_load(image, err) == 0)
        (void)!check(image_plugin(image), &count, err);
}

static void accepts_every_good_fixture(void **state) {
    static const char *const names[] = {"activatefails", "badoutput", "clash",    "client",       "config", "counter",
                                        "database",      "dynamic",   "hangstop", "huge",         "inner",  "logger",
                                        "noreply",       "serial",    "shared",   "slow",         "tls",    "smallsize",
                                        "startfails",    "version1",  "version2", "selftestfails"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct theseus_error err = {0};
        check_fixture(names[i], &err);
        if (err.code)
            test_failed("%s: %s", names[i], err.message);
    }
}

static void refuses_every_bad_fixture(void **state) {
    static const struct {
        const char *name, *words;
    } fixtures[] = {
        {"duptool", "has two tools with the name 'twin'"},
        {"badschema", "tool 'badschema': input_schema: is not JSON: line 1"},
        {"badkeyword", "maxWords"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++) {
        struct theseus_error err = {0};
        check_fixture(fixtures[i].name, &err);
        if (!strstr(err.message, fixtures[i].words))
            test_failed("'%s' is not in: %s", fixtures[i].words, err.message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_a_name_and_a_version_and_nothing_else),
        cmocka_unit_test(bounds_name_and_version),
        cmocka_unit_test(checks_the_schema_of_the_configuration),
        cmocka_unit_test(checks_sections_and_migrations),
        cmocka_unit_test(gives_the_tools_in_their_order),
        cmocka_unit_test(refuses_tools_without_a_name_or_with_the_same),
        cmocka_unit_test(bounds_the_number_of_tools),
        cmocka_unit_test(accepts_every_good_fixture),
        cmocka_unit_test(refuses_every_bad_fixture),
    };

    return cmocka_run_group_tests_name("plugin/contract", tests, NULL, NULL);
}
