#include "test.h"

#include <stdlib.h>

#include "config/load.h"
#include "config/option.h"

static void note_change(void *arg, const char *name, bool in_place) {
    struct said *said = arg;
    size_t len = strlen(said->text);

    (void)snprintf(said->text + len, sizeof(said->text) - len, "%s%s\n", name, in_place ? "" : " (re-exec)");
}

static void differs(const struct config *before, const struct config *after, const char *wanted) {
    struct said said = {0};

    config_diff(before, after, note_change, &said);
    assert_string_equal(said.text, wanted);
}

static void differs_text(const char *before_text, const char *after_text, const char *wanted) {
    struct said said;
    CLEANUP(config_free) struct config *before = load_text(before_text, &said);
    CLEANUP(config_free) struct config *after = load_text(after_text, &said);

    assert_string_equal(said.text, "");
    differs(before, after, wanted);
}

/* One line for each row of the table: what changes it, and what is then different. */
static const struct {
    const char *set, *change;
} changes[] = {
    {"server.name=x", "server.name\n"},
    {"server.instructions=x", "server.instructions\n"},
    {"server.state_dir=/x", "server.state_dir (re-exec)\n"},
    {"server.runtime_dir=/x", "server.runtime_dir (re-exec)\n"},
    {"server.log_level=error", "server.log_level\n"},
    {"server.workers=5", "server.workers\n"},
    {"server.core_dump=yes", "server.core_dump\n"},
    {"plugins.path=/x", "plugins.path\n"},
    {"plugins.watch=no", "plugins.watch\n"},
    {"plugins.settle_ms=51", "plugins.settle_ms\n"},
    {"plugins.disable=x", "plugins.disable\n"},
    {"tools.hide=x", "tools.hide\n"},
    {"limits.max_line=4M", "limits.max_line\n"},
    {"limits.max_in_flight=1", "limits.max_in_flight\n"},
    {"limits.max_buffered=8M", "limits.max_buffered\n"},
    {"limits.call_timeout=1", "limits.call_timeout\n"},
    {"limits.max_result=1M", "limits.max_result\n"},
    {"limits.max_clients=1", "limits.max_clients\n"},
    {"limits.rate=1", "limits.rate\n"},
    {"limits.first_line=1", "limits.first_line\n"},
    {"limits.memory=64M", "limits.memory\n"},
    {"listen.unix=/x", "listen.unix (re-exec)\n"},
    {"listen.session_expiry=1h", "listen.session_expiry\n"},
    {"restart.total_restart=10", "restart.total_restart\n"},
    {"restart.shutdown_timeout=0", "restart.shutdown_timeout\n"},
    {"restart.task_suspension=0", "restart.task_suspension\n"},
    {"restart.process_startup=1", "restart.process_startup\n"},
    {"restart.watch_binary=yes", "restart.watch_binary\n"},
    {"crash.limit=2", "crash.limit\n"},
    {"crash.window=61", "crash.window\n"},
    {"crash.probation=61", "crash.probation\n"},
    {"crash.probation_calls=99", "crash.probation_calls\n"},
    {"crash.max_execs=19", "crash.max_execs\n"},
    {"crash.execs_window=59", "crash.execs_window\n"},
    {"crash.guard=no", "crash.guard\n"},
    {"buffer.max_buffer_size=0", "buffer.max_buffer_size\n"},
    {"buffer.buffer_expiration=0", "buffer.buffer_expiration\n"},
    {"buffer.cleanup_interval=1", "buffer.cleanup_interval\n"},
    {"state.key_file=/x", "state.key_file (re-exec)\n"},
    {"history.keep=1d", "history.keep\n"},
    {"history.audit_lines=10", "history.audit_lines\n"},
    {"tasks.promote_after=0", "tasks.promote_after\n"},
    {"metrics.file=/x", "metrics.file\n"},
    {"access.restart=no", "access.restart\naccess.reload\n"},
    {"access.reload=no", "access.reload\n"},
    {"access.call=own", "access.call\n"},
    {"access.deny=a@others", "access.deny\n"},
    {"access.hide=a", "access.hide\n"},
    {"access.confirm_within=1", "access.confirm_within\n"},
    {"access.call_by_name=yes", "access.call_by_name\n"},
    {"access.allow_uid=0", "access.allow_uid\n"},
    {"access.allow_gid=0", "access.allow_gid\n"},
};

static void names_each_option_that_changes_and_no_other(void **state) {
    (void)state;
    assert_int_equal(ARRAY_SIZE(changes), option_count);
    for (size_t i = 0; i < option_count; i++) {
        /* What is derived from the state directory would change with it: it stays the same here. */
        const char *const fixed[] = {"server.runtime_dir=/fixed", "state.key_file=/fixed", "listen.unix=/fixed", NULL};
        const char *const with[] = {"server.runtime_dir=/fixed", "state.key_file=/fixed", "listen.unix=/fixed",
                                    changes[i].set, NULL};
        struct said said;
        CLEANUP(config_free) struct config *before = load_bytes(span_of(""), fixed, &said);
        CLEANUP(config_free) struct config *after = load_bytes(span_of(""), with, &said);
        assert_string_equal(said.text, "");
        CLEANUP(free) char *name = xasprintf("%s.%s", option_table[i].section, option_table[i].key);
        assert_memory_equal(changes[i].change, name, strlen(name));
        differs(before, after, changes[i].change);
        differs(after, before, changes[i].change);
    }
}

static void finds_no_difference_in_order_comments_and_defaults(void **state) {
    (void)state;
    differs_text("[plugin:b]\nx = 1\ny = 2\n[plugin:a]\n[limits]\nmax_line = 8192K\n",
                 "; other\n[plugin:a]\n[plugin:b]\ny = 2\nx = 1\n", "");
}

static void names_sections_that_come_go_and_change(void **state) {
    (void)state;
    differs_text("[plugin:a]\n[plugin:b]\nx = 1\n[plugin:d]\n[tool:t]\nc = 1\n[tool:u]\n",
                 "[plugin:b]\nx = 2\n[plugin:c]\n[plugin:d]\n[tool:t]\n.c = 1\n[tool:u]\n",
                 "plugin:a\nplugin:b\nplugin:c\ntool:t\n");
    differs_text("", "[tool:a]\n[tool:b]\n", "tool:a\ntool:b\n");
    differs_text("[tool:a]\n[tool:b]\n", "", "tool:a\ntool:b\n");
}

static void counts_a_section_in_another_file_as_changed(void **state) {
    const struct config_source elsewhere = {.path = "/opt/x.ini", .text = span_of("[tool:t]\ncwd = here\n")};
    struct config *loaded = NULL;
    struct said said;

    (void)state;
    CLEANUP(config_free) struct config *before = load_text("[tool:t]\ncwd = here\n", &said);
    assert_int_equal(config_load(&loaded, &elsewhere, NULL, NULL, NULL), 0);
    CLEANUP(config_free) struct config *after = loaded;
    differs(before, after, "tool:t\n");
}

static void tells_lists_apart(void **state) {
    (void)state;
    differs_text("[tools]\nhide = a b\n", "[tools]\nhide = a\n", "tools.hide\n");
    differs_text("[tools]\nhide = a b\n", "[tools]\nhide = b a\n", "tools.hide\n");
    differs_text("[tools]\nhide = a b\n", "[tools]\nhide = a,b\n", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_each_option_that_changes_and_no_other),
        cmocka_unit_test(finds_no_difference_in_order_comments_and_defaults),
        cmocka_unit_test(names_sections_that_come_go_and_change),
        cmocka_unit_test(counts_a_section_in_another_file_as_changed),
        cmocka_unit_test(tells_lists_apart),
    };

    return cmocka_run_group_tests_name("config/diff", tests, NULL, NULL);
}
