#include "test.h"

#include "config/option.h"

#include <stdlib.h>

#include "config/load.h"

static void reads_sizes_with_and_without_a_letter(void **state) {
    static const struct {
        const char *set;
        size_t size;
    } cases[] = {
        {"limits.max_line=1024", 1024},  {"limits.max_line=1k", 1024},    {"limits.max_line=64K", 65536},
        {"limits.max_line=3M", 3145728}, {"limits.max_line=3m", 3145728}, {"limits.max_line=16M", 16777216},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct said said;
        CLEANUP(config_free) struct config *config = load_set(cases[i].set, &said);
        assert_string_equal(said.text, "");
        assert_int_equal(config->limits.max_line, cases[i].size);
    }
}

static void refuses_sizes_that_are_none(void **state) {
    static const char *const values[] = {"", "K", "8MB", "8 M", "1.5M", "0x10", "M8"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        CLEANUP(free) char *set = xasprintf("limits.max_line=%s", values[i]);
        CLEANUP(free)
        char *why = xasprintf("--set limits.max_line: limits.max_line: '%s' is not a size such as 65536, 64K or 8M\n",
                              values[i]);
        refuses_set(set, why);
    }
}

static void reads_times_with_their_unit(void **state) {
    static const struct {
        const char *set;
        int seconds;
    } cases[] = {{"history.keep=45s", 45},
                 {"history.keep=30m", 1800},
                 {"history.keep=12h", 43200},
                 {"history.keep=3650d", 315360000}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct said said;
        CLEANUP(config_free) struct config *config = load_set(cases[i].set, &said);
        assert_string_equal(said.text, "");
        assert_int_equal(config->history.keep, cases[i].seconds);
    }
}

static void refuses_times_that_are_none(void **state) {
    static const char *const values[] = {"", "90", "d", "9 d", "1.5h", "2w", "3dd", "-"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        CLEANUP(free) char *set = xasprintf("history.keep=%s", values[i]);
        CLEANUP(free)
        char *why =
            xasprintf("--set history.keep: history.keep: '%s' is not a time such as 90s, 30m, 12h or 7d\n", values[i]);
        refuses_set(set, why);
    }
    refuses_set("history.keep=0s", "--set history.keep: history.keep: '0s' is out of range (1s to 3650d)\n");
    refuses_set("history.keep=99999999999d",
                "--set history.keep: history.keep: '99999999999d' is out of range (1s to 3650d)\n");
    refuses_set("history.keep=-1d", "--set history.keep: history.keep: '-1d' is out of range (1s to 3650d)\n");
}

static void refuses_sizes_out_of_range(void **state) {
    static const char *const values[] = {"1023", "0", "-1K", "1025M", "2G", "17179869185G", "99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        CLEANUP(free) char *set = xasprintf("limits.max_result=%s", values[i]);
        CLEANUP(free)
        char *why =
            xasprintf("--set limits.max_result: limits.max_result: '%s' is out of range (1K to 1G)\n", values[i]);
        refuses_set(set, why);
    }
}

static void reads_numbers_up_to_both_ends_of_their_range(void **state) {
    static const struct {
        const char *set;
        int workers;
    } cases[] = {{"server.workers=1", 1}, {"server.workers=256", 256}, {"server.workers=007", 7}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct said said;
        CLEANUP(config_free) struct config *config = load_set(cases[i].set, &said);
        assert_string_equal(said.text, "");
        assert_int_equal(config->server.workers, cases[i].workers);
    }
}

static void refuses_numbers_out_of_range(void **state) {
    (void)state;
    refuses("[server]\nworkers = 0\n", "/etc/x.ini:2: server.workers: '0' is out of range (1 to 256)\n");
    refuses("[server]\nworkers = 257\n", "/etc/x.ini:2: server.workers: '257' is out of range (1 to 256)\n");
    refuses("[server]\nworkers = -3\n", "/etc/x.ini:2: server.workers: '-3' is out of range (1 to 256)\n");
    refuses("[server]\nworkers = 4294967297\n",
            "/etc/x.ini:2: server.workers: '4294967297' is out of range (1 to 256)\n");
    refuses("[server]\nworkers = 99999999999999999999\n",
            "/etc/x.ini:2: server.workers: '99999999999999999999' is out of range (1 to 256)\n");
}

static void refuses_what_is_no_number(void **state) {
    (void)state;
    refuses("[server]\nworkers = four\n", "/etc/x.ini:2: server.workers: 'four' is not a whole number\n");
    refuses("[server]\nworkers =\n", "/etc/x.ini:2: server.workers: '' is not a whole number\n");
    refuses("[limits]\ncall_timeout = 1.5\n",
            "/etc/x.ini:2: limits.call_timeout: '1.5' is not a whole number of seconds\n");
    refuses("[plugins]\nsettle_ms = 5s\n",
            "/etc/x.ini:2: plugins.settle_ms: '5s' is not a whole number of milliseconds\n");
}

static void reads_every_word_for_yes_and_no(void **state) {
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1", "NO", "Yes"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        struct said said;
        CLEANUP(free) char *set = xasprintf("plugins.watch=%s", words[i]);
        CLEANUP(config_free) struct config *config = load_set(set, &said);
        assert_string_equal(said.text, "");
        assert_int_equal(config->plugins.watch, i % 2);
    }
    refuses("[plugins]\nwatch = maybe\n", "/etc/x.ini:2: plugins.watch: 'maybe' is neither yes nor no\n");
}

static void reads_words_and_names_them_when_none_fits(void **state) {
    struct said said;
    CLEANUP(config_free)
    struct config *config = load_text("[access]\ncall_by_name = no\n[server]\nlog_level = debug\n", &said);

    (void)state;
    assert_non_null(config);
    assert_int_equal(config->access.call_by_name, CALL_BY_NAME_NO);
    assert_int_equal(config->server.log_level, LOG_DEBUG);
    refuses("[server]\nlog_level = warn\n",
            "/etc/x.ini:2: server.log_level: 'warn' is not debug, info, warning or error\n");
    refuses("[access]\ncall_by_name = YES\n", "/etc/x.ini:2: access.call_by_name: 'YES' is not read_only, yes or no\n");
}

static void reads_lists_between_commas_and_white_space(void **state) {
    struct said said;
    CLEANUP(config_free)
    struct config *config = load_text("[tools]\nhide = a, b\tc,,d\n  e*\n[plugins]\ndisable =\n", &said);
    const char *const names[] = {"a", "b", "c", "d", "e*"};

    (void)state;
    assert_non_null(config);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_string_equal(config->tools.hide[i], names[i]);
    assert_null(config->tools.hide[ARRAY_SIZE(names)]);
    assert_null(config->plugins.disable[0]);
}

static void takes_paths_from_the_directory_of_the_file(void **state) {
    struct said said;

    (void)state;
    assert_int_equal(setenv("HOME", "/h", 1), 0);
    CLEANUP(config_free)
    struct config *config =
        load_text("[plugins]\npath = p:/abs:~/q:\n[server]\nstate_dir = s/t\nruntime_dir = ~\n", &said);
    assert_non_null(config);
    assert_string_equal(config->plugins.path[0], "/etc/p");
    assert_string_equal(config->plugins.path[1], "/abs");
    assert_string_equal(config->plugins.path[2], "/h/q");
    assert_null(config->plugins.path[3]);
    assert_string_equal(config->server.state_dir, "/etc/s/t");
    assert_string_equal(config->server.runtime_dir, "/h");
}

static void refuses_a_missing_path(void **state) {
    (void)state;
    refuses("[server]\nstate_dir =\n", "/etc/x.ini:2: server.state_dir: a path is missing\n");
    refuses("[plugins]\npath = ::\n", "/etc/x.ini:2: plugins.path: a path is missing\n");
}

static void refuses_texts_that_are_too_short_or_too_long(void **state) {
    char text[256] = "[server]\nname = ";

    (void)state;
    refuses("[server]\nname =\n", "/etc/x.ini:2: server.name: a text of 0 bytes is out of range (1 to 128)\n");
    memset(text + strlen(text), 'n', 129);
    refuses(text, "/etc/x.ini:2: server.name: a text of 129 bytes is out of range (1 to 128)\n");
    text[strlen(text) - 1] = '\0';
    struct said said;
    CLEANUP(config_free) struct config *config = load_text(text, &said);
    assert_non_null(config);
    assert_int_equal(strlen(config->server.name), 128);
}

static void refuses_secrets_in_its_own_sections(void **state) {
    (void)state;
    refuses("[server]\nname = env:NAME\n",
            "/etc/x.ini:2: server.name: env: and file: are for [plugin:NAME] and [tool:NAME] only\n");
}

static void quotes_the_beginning_of_a_long_value(void **state) {
    CLEANUP(free) char *text = xasprintf("[server]\nworkers = %059d\xC3\xA4%0500d\n", 1, 1);
    CLEANUP(free) char *why = xasprintf("/etc/x.ini:2: server.workers: '%059d' is not a whole number\n", 1);

    (void)state;
    refuses(text, why);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_sizes_with_and_without_a_letter),
        cmocka_unit_test(refuses_sizes_that_are_none),
        cmocka_unit_test(refuses_sizes_out_of_range),
        cmocka_unit_test(reads_times_with_their_unit),
        cmocka_unit_test(refuses_times_that_are_none),
        cmocka_unit_test(reads_numbers_up_to_both_ends_of_their_range),
        cmocka_unit_test(refuses_numbers_out_of_range),
        cmocka_unit_test(refuses_what_is_no_number),
        cmocka_unit_test(reads_every_word_for_yes_and_no),
        cmocka_unit_test(reads_words_and_names_them_when_none_fits),
        cmocka_unit_test(reads_lists_between_commas_and_white_space),
        cmocka_unit_test(takes_paths_from_the_directory_of_the_file),
        cmocka_unit_test(refuses_a_missing_path),
        cmocka_unit_test(refuses_texts_that_are_too_short_or_too_long),
        cmocka_unit_test(refuses_secrets_in_its_own_sections),
        cmocka_unit_test(quotes_the_beginning_of_a_long_value),
    };

    return cmocka_run_group_tests_name("config/value", tests, NULL, NULL);
}
