#include "test.h"

#include "server/args.h"

#include <stdlib.h>

/* Reads a command line of words between blanks. */
static int read_words(const char *line, struct args *args, char ***ret_argv, char **ret_copy,
                      struct theseus_error *err) {
    char *rest = NULL;
    int argc = 0;

    *ret_copy = xasprintf("theseus %s", line);
    *ret_argv = xcalloc(64, sizeof(char *));
    for (char *word = strtok_r(*ret_copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        (*ret_argv)[argc++] = word;
    return args_read(args, argc, *ret_argv, err);
}

static void is(const char *line, enum command command, int rest, const char *config, size_t sets) {
    CLEANUP(args_fini) struct args args;
    CLEANUP(free) char **argv = NULL;
    CLEANUP(free) char *copy = NULL;

    assert_int_equal(read_words(line, &args, &argv, &copy, NULL), 0);
    assert_int_equal(args.command, command);
    assert_int_equal(args.rest_count, rest);
    assert_null(args.rest[rest]);
    assert_int_equal(args.set_count, sets);
    assert_true(config ? args.config && strcmp(args.config, config) == 0 : !args.config);
}

static void knows_every_command(void **state) {
    (void)state;
    is("", COMMAND_SERVE, 0, NULL, 0);
    is("serve", COMMAND_SERVE, 0, NULL, 0);
    is("check", COMMAND_CHECK, 0, NULL, 0);
    is("check a.so b.so", COMMAND_CHECK, 2, NULL, 0);
    is("call echo {}", COMMAND_CALL, 2, NULL, 0);
    is("call --running echo {}", COMMAND_CALL, 2, NULL, 0);
    is("call --running 12 echo {}", COMMAND_CALL, 3, NULL, 0);
    is("client vscode", COMMAND_CLIENT, 1, NULL, 0);
    is("--version", COMMAND_VERSION, 0, NULL, 0);
    is("--help", COMMAND_HELP, 0, NULL, 0);
    is("--test-load x", COMMAND_TEST_LOAD, 1, NULL, 0);
    is("--preflight x serve -c f", COMMAND_PREFLIGHT, 2, "f", 0);
    is("--preflight x --set server.name=n", COMMAND_PREFLIGHT, 1, NULL, 1);
}

static void takes_options_anywhere(void **state) {
    (void)state;
    is("-c file", COMMAND_SERVE, 0, "file", 0);
    is("--set a.b=c serve --set d.e=f", COMMAND_SERVE, 0, NULL, 2);
    is("call echo -c file {}", COMMAND_CALL, 2, "file", 0);
    is("-c serve", COMMAND_SERVE, 0, "serve", 0);
    is("-c one -c two", COMMAND_SERVE, 0, "two", 0);
}

static void refuses(const char *line, const char *why) {
    CLEANUP(args_fini) struct args args;
    CLEANUP(free) char **argv = NULL;
    CLEANUP(free) char *copy = NULL;
    struct theseus_error err = {0};

    assert_int_equal(read_words(line, &args, &argv, &copy, &err), -1);
    assert_string_equal(err.message, why);
}

static void says_what_is_wrong(void **state) {
    (void)state;
    refuses("chek", "unknown command 'chek'; did you mean 'check'?");
    refuses("zzzzzzzzz", "unknown command 'zzzzzzzzz'; theseus --help lists what there is");
    refuses("-c", "option -c needs a value");
    refuses("serve --set", "option --set needs a value");
    refuses("call", "use: theseus call [--running [PID]] TOOL [JSON | -] [-c FILE]");
    refuses("call a b c", "use: theseus call [--running [PID]] TOOL [JSON | -] [-c FILE]");
    refuses("call --running a b c d", "use: theseus call [--running [PID]] TOOL [JSON | -] [-c FILE]");
    refuses("status --running", "--running is not for this command; use: theseus status [--watch] [--json] [-c FILE]");
    refuses("client", "use: theseus client NAME");
    refuses("serve x", "use: theseus [serve] [-c FILE] [--set SECTION.KEY=VALUE]... [--listen]");
    refuses("check --deep --listen",
            "--listen is not for this command; use: theseus check [-c FILE] [--deep | PLUGIN.so...]");
    refuses("status --since 7d", "--since is not for this command; use: theseus status [--watch] [--json] [-c FILE]");
    refuses("--test-load", "use: theseus --test-load [--database=FILE] FILE...");
    refuses("--preflight serve x y", "use: theseus --preflight ROOM [serve] [--listen]");
    refuses("--read-sessions x", "use: theseus --read-sessions");
}

static void prints_help_for_people(void **state) {
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    args_print_help(out);
    (void)fclose(out);
    assert_non_null(strstr(text, "theseus call [--running [PID]] TOOL [JSON | -]"));
    assert_null(strstr(text, "--test-load")); /* not for people */
    assert_null(strstr(text, "--preflight"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_every_command),
        cmocka_unit_test(takes_options_anywhere),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(prints_help_for_people),
    };

    return cmocka_run_group_tests_name("server/args", tests, NULL, NULL);
}
