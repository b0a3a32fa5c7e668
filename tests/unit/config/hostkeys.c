#include "test.h"

#include "config/hostkeys.h"

#include <stdlib.h>

#include "config/load.h"

static struct config *good(const char *text) {
    struct said said;
    struct config *config = load_text(text, &said);

    assert_string_equal(said.text, "");
    assert_non_null(config);
    return config;
}

static void are_defaults_where_nothing_is_said(void **state) {
    CLEANUP(config_free) struct config *config = good("[plugin:a]\nx = 1\n");
    size_t memory;

    (void)state;
    assert_int_equal(config_isolation_of(config, "a", &memory), ISOLATION_NONE);
    assert_int_equal(config_isolation_of(config, "b", &memory), ISOLATION_NONE);
}

static void say_how_a_plugin_is_kept(void **state) {
    CLEANUP(config_free)
    struct config *config = good("[plugin:a]\n.isolation = process\n[plugin:b]\n.isolation = process\n.memory = 1G\n");
    size_t memory;

    (void)state;
    assert_int_equal(config_isolation_of(config, "a", &memory), ISOLATION_PROCESS);
    assert_int_equal(memory, 512 << 20);
    assert_int_equal(config_isolation_of(config, "b", &memory), ISOLATION_PROCESS);
    assert_int_equal(memory, 1 << 30);
}

static void are_refused_by_line_when_they_mean_nothing(void **state) {
    (void)state;
    refuses("[plugin:a]\n.isolation = maybe\n",
            "/etc/x.ini:2: [plugin:a] .isolation: 'maybe' is not none or process\n");
    refuses("[plugin:a]\n\n.memory = 63M\n",
            "/etc/x.ini:3: [plugin:a] .memory: '63M' is out of range (64M to 1024G)\n");
    refuses("[plugin:a]\n.memory = much\n",
            "/etc/x.ini:2: [plugin:a] .memory: 'much' is not a size such as 65536, 64K or 8M\n");
    refuses("[plugin:a]\n.isolatoin = process\n",
            "/etc/x.ini:2: unknown key '.isolatoin' in [plugin:a]; did you mean '.isolation'?\n");
    refuses("[plugin:a]\n.x = y\n", "/etc/x.ini:2: unknown key '.x' in [plugin:a]\n");
}

static void take_the_least_and_the_most(void **state) {
    CLEANUP(config_free) struct config *config = good("[plugin:a]\n.memory = 64M\n[plugin:b]\n.memory = 1024G\n");
    size_t memory;

    (void)state;
    (void)config_isolation_of(config, "a", &memory);
    assert_int_equal(memory, 64 << 20);
    (void)config_isolation_of(config, "b", &memory);
    assert_int_equal(memory, (size_t)1 << 40);
    refuses("[plugin:a]\n.memory = 1025G\n",
            "/etc/x.ini:2: [plugin:a] .memory: '1025G' is out of range (64M to 1024G)\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_defaults_where_nothing_is_said),
        cmocka_unit_test(say_how_a_plugin_is_kept),
        cmocka_unit_test(are_refused_by_line_when_they_mean_nothing),
        cmocka_unit_test(take_the_least_and_the_most),
    };

    return cmocka_run_group_tests_name("config/hostkeys", tests, NULL, NULL);
}
