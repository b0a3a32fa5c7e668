#include "test.h"

#include "config/build.h"

#include <stdlib.h>
#include <unistd.h>

#include "config/load.h"
#include "config/option.h"

static void names_the_nearest_key(void **state) {
    (void)state;
    refuses("[limits]\nmax_lines = 1\n",
            "/etc/x.ini:2: unknown key 'max_lines' in [limits]; did you mean 'max_line'?\n");
}

static void names_the_section_that_a_key_belongs_to(void **state) {
    (void)state;
    refuses("[server]\nmax_line = 1M\n", "/etc/x.ini:2: unknown key 'max_line' in [server]; it belongs in [limits]\n");
}

static void names_all_keys_when_none_is_near(void **state) {
    (void)state;
    refuses("[access]\nxyzzy = 1\n",
            "/etc/x.ini:2: unknown key 'xyzzy' in [access]; there are 'restart', "
            "'reload', 'call', 'deny', 'hide', 'confirm_within', 'call_by_name', 'allow_uid', 'allow_gid'\n");
}

static void names_the_nearest_section(void **state) {
    (void)state;
    refuses("[limit]\nanything = 1\n", "/etc/x.ini:1: unknown section [limit]; did you mean [limits]?\n");
    refuses("[Server]\n", "/etc/x.ini:1: unknown section [Server]; did you mean [server]?\n");
    refuses(
        "[something else]\n",
        "/etc/x.ini:1: unknown section [something else]; there are [server], [plugins], [tools], [limits], "
        "[listen], [restart], [crash], [buffer], [state], [history], [tasks], [metrics], [access], [plugin:NAME], [tool:NAME]\n");
}

static void refuses_what_is_reserved(void **state) {
    (void)state;
    refuses("[mcp:github]\ncommand = x\n", "/etc/x.ini:1: [mcp:github] is reserved: serving the tools of other MCP "
                                           "servers is not supported\n");
}

static void refuses_names_that_no_tool_or_plugin_can_have(void **state) {
    char text[80] = "[tool:";

    (void)state;
    refuses("[tool:]\n", "/etc/x.ini:1: [tool:]: a tool's name is 1 to 64 characters of A-Z a-z 0-9 _ -\n");
    refuses("[tool:a.b]\n", "/etc/x.ini:1: [tool:a.b]: a tool's name is 1 to 64 characters of A-Z a-z 0-9 _ -\n");
    refuses("[plugin:a/b]\n", "/etc/x.ini:1: [plugin:a/b]: a plugin's name consists of A-Z a-z 0-9 _ -\n");
    memset(text + 6, 't', 65);
    text[71] = ']';
    struct said said;
    assert_null(load_text(text, &said));
    memcpy(text + 70, "]", 2);
    CLEANUP(config_free) struct config *config = load_text(text, &said);
    assert_non_null(config);
}

static void sorts_sections_and_parts_the_hosts_keys_from_the_plugins(void **state) {
    struct said said;
    CLEANUP(config_free)
    struct config *config =
        load_text("[plugin:b]\nx.y = 1\n.call_timeout = 7\n[tool:t]\ncommand = ls\n[plugin:a]\n", &said);

    (void)state;
    assert_non_null(config);
    assert_int_equal(config->plugin_count, 2);
    assert_string_equal(config->plugin_sections[0].name, "a");
    const struct config_section *b = config_section_find(config->plugin_sections, config->plugin_count, "b");
    assert_ptr_equal(b, &config->plugin_sections[1]);
    assert_int_equal(json_object_size(b->settings), 1);
    assert_string_equal(setting(b, "x.y"), "1");
    assert_int_equal(json_object_size(b->host), 1);
    assert_string_equal(json_string_value(json_object_get(b->host, "call_timeout")), "7");
    assert_string_equal(b->file, "/etc/x.ini");
    assert_int_equal(config_plugin_call_timeout(config, "b"), 7);
    assert_int_equal(config_plugin_call_timeout(config, "a"), 0);
    assert_int_equal(config_plugin_call_timeout(config, "c"), 0);
    assert_null(config_section_find(config->plugin_sections, config->plugin_count, "t"));
    assert_null(config_section_find(NULL, 0, "t"));
}

static void lets_set_win_over_the_file(void **state) {
    const char *const sets[] = {"limits.max_in_flight=7", "limits.max_in_flight= 8 ", "plugin:p.a=2",
                                "plugin:p..memory=64M",   "tool:new.command=ls a=b",  NULL};
    struct said said;
    CLEANUP(config_free)
    struct config *config = load_bytes(span_of("[limits]\nmax_in_flight = 6\n[plugin:p]\na = 1\nb = 1\n"), sets, &said);

    (void)state;
    assert_string_equal(said.text, "");
    assert_int_equal(config->limits.max_in_flight, 8);
    const struct config_section *p = &config->plugin_sections[0];
    assert_int_equal(config->plugin_count, 1);
    assert_string_equal(setting(p, "a"), "2");
    assert_string_equal(setting(p, "b"), "1");
    assert_string_equal(json_string_value(json_object_get(p->host, "memory")), "64M");
    assert_int_equal(config_section_line(p, "a"), 0);
    assert_int_equal(config_section_line(p, "b"), 5);
    assert_string_equal(setting(&config->tool_sections[0], "command"), "ls a=b");
    assert_string_equal(config->tool_sections[0].file, "--set");
}

static void refuses_keys_of_the_host_that_there_are_not(void **state) {
    (void)state;
    refuses("[plugin:p]\n.call_timeut = 1\n",
            "/etc/x.ini:2: unknown key '.call_timeut' in [plugin:p]; did you mean '.call_timeout'?\n");
    refuses("[plugin:p]\n.x = 1\n", "/etc/x.ini:2: unknown key '.x' in [plugin:p]\n");
    refuses_set("plugin:p..call_timeout=0", "[plugin:p] .call_timeout: '0' is out of range (1 to 86400)\n");
    refuses_set("plugin:p..call_timeout=86401", "[plugin:p] .call_timeout: '86401' is out of range (1 to 86400)\n");
    refuses_set("plugin:p..call_timeout=1 s", "[plugin:p] .call_timeout: '1 s' is not a whole number of seconds\n");
}

static void takes_paths_of_set_from_the_current_directory(void **state) {
    struct said said;
    CLEANUP(free) char *here = getcwd(NULL, 0);
    CLEANUP(free) char *wanted = xasprintf("%s/s", here);
    CLEANUP(config_free) struct config *config = load_set("server.state_dir=s", &said);

    (void)state;
    assert_non_null(config);
    assert_string_equal(config->server.state_dir, wanted);
}

static void refuses_set_that_is_not_one(void **state) {
    static const char *const sets[] = {"limits.max_line", "limits=1", ".max_line=1", "limits.=1", "limits.a b=1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        CLEANUP(free)
        char *why =
            xasprintf("--set %.*s: it must be written as SECTION.KEY=VALUE\n", (int)strcspn(sets[i], "="), sets[i]);
        refuses_set(sets[i], why);
    }
    refuses_set("server.name=\xFF", "--set server.name: the value is not UTF-8\n");
    refuses_set("limits.max_lines=1",
                "--set limits.max_lines: unknown key 'max_lines' in [limits]; did you mean 'max_line'?\n");
    refuses_set("mcp:x.a=1", "--set mcp:x.a: [mcp:x] is reserved: serving the tools of other MCP servers is not "
                             "supported\n");
}

static void refuses_a_message_that_could_not_be_held(void **state) {
    (void)state;
    refuses("[limits]\nmax_line = 32M\n",
            "/etc/x.ini:2: limits.max_buffered (16777216 bytes) is smaller than limits.max_line (33554432 bytes)\n");
    refuses("[limits]\nmax_line = 2M\nmax_buffered = 1M\n",
            "/etc/x.ini:3: limits.max_buffered (1048576 bytes) is smaller than limits.max_line (2097152 bytes)\n");
    refuses_set("limits.max_buffered=1M",
                "limits.max_buffered (1048576 bytes) is smaller than limits.max_line (8388608 bytes)\n");
}

static void refuses_a_limit_on_memory_that_nothing_could_run_with(void **state) {
    struct said said;
    CLEANUP(config_free) struct config *least = load_text("[limits]\nmemory = 64M\n", &said);

    (void)state;
    assert_int_equal(least->limits.memory, 64 << 20);
    refuses("[limits]\nmemory = 63M\n", "/etc/x.ini:2: limits.memory: 66060288 bytes are too few to run with; at least "
                                        "64M, or 0 for no limit\n");
    refuses_set("limits.memory=1", "limits.memory: 1 bytes are too few to run with; at least 64M, or 0 for no limit\n");
}

static void takes_the_default_for_an_empty_value_that_has_to_be_found_out(void **state) {
    struct said said;
    CLEANUP(config_free) struct config *plain = load_text("", &said);
    CLEANUP(config_free) struct config *empty = load_text("[server]\nruntime_dir =\n[plugins]\npath =\n", &said);

    (void)state;
    assert_non_null(empty);
    assert_string_equal(empty->server.runtime_dir, plain->server.runtime_dir);
    assert_string_equal(empty->plugins.path[0], plain->plugins.path[0]);
}

static void has_the_documented_defaults(void **state) {
    struct said said;

    (void)state;
    assert_int_equal(setenv("HOME", "/h", 1), 0);
    CLEANUP(config_free) struct config *config = load_text("", &said);
    assert_non_null(config);
    assert_string_equal(config->server.name, "theseus");
    assert_string_equal(config->server.state_dir, "/h/.local/state/theseus");
    assert_int_equal(config->server.log_level, LOG_INFO);
    assert_int_equal(config->server.workers, 4);
    assert_string_equal(config->plugins.path[0], "/h/.local/share/theseus/plugins");
    assert_true(config->plugins.watch);
    assert_int_equal(config->plugins.settle_ms, 50);
    assert_null(config->plugins.disable[0]);
    assert_null(config->tools.hide[0]);
    assert_int_equal(config->limits.max_line, 8 << 20);
    assert_int_equal(config->limits.max_in_flight, 256);
    assert_int_equal(config->limits.max_buffered, 16 << 20);
    assert_int_equal(config->limits.call_timeout, 300);
    assert_int_equal(config->limits.max_result, 8 << 20);
    assert_int_equal(config->limits.memory, 0);
    assert_int_equal(config->restart.shutdown_timeout, 15);
    assert_int_equal(config->restart.task_suspension, 5);
    assert_int_equal(config->restart.process_startup, 10);
    assert_int_equal(config->buffer.max_buffer_size, 100);
    assert_int_equal(config->buffer.buffer_expiration, 300);
    assert_int_equal(config->buffer.cleanup_interval, 60);
    assert_string_equal(config->access.restart[0], "yes");
    assert_string_equal(config->access.reload[0], "yes");
    assert_int_equal(config->access.call_by_name, CALL_BY_NAME_READ_ONLY);
}

static void instructs_the_model_in_less_than_2_KB(void **state) {
    (void)state;
    assert_in_range(strlen(option_instructions), 500, 2047);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_nearest_key),
        cmocka_unit_test(names_the_section_that_a_key_belongs_to),
        cmocka_unit_test(names_all_keys_when_none_is_near),
        cmocka_unit_test(names_the_nearest_section),
        cmocka_unit_test(refuses_what_is_reserved),
        cmocka_unit_test(refuses_names_that_no_tool_or_plugin_can_have),
        cmocka_unit_test(sorts_sections_and_parts_the_hosts_keys_from_the_plugins),
        cmocka_unit_test(lets_set_win_over_the_file),
        cmocka_unit_test(refuses_keys_of_the_host_that_there_are_not),
        cmocka_unit_test(takes_paths_of_set_from_the_current_directory),
        cmocka_unit_test(refuses_set_that_is_not_one),
        cmocka_unit_test(refuses_a_message_that_could_not_be_held),
        cmocka_unit_test(refuses_a_limit_on_memory_that_nothing_could_run_with),
        cmocka_unit_test(takes_the_default_for_an_empty_value_that_has_to_be_found_out),
        cmocka_unit_test(has_the_documented_defaults),
        cmocka_unit_test(instructs_the_model_in_less_than_2_KB),
    };

    return cmocka_run_group_tests_name("config/build", tests, NULL, NULL);
}
