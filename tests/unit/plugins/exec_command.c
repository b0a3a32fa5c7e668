#include "exec.h"

/* What the program is given: each argument in brackets. */
static void shows(const char *words, const char *inputs, const char *args, const char *arguments) {
    json_t *section = json(inputs);
    char *text;

    json_object_set_new(section, "command", json_sprintf("printf [%%s] %s", words));
    text = json_dumps(section, 0);
    struct bench *bench = bench_new(text);
    assert_string_equal(bench_call(bench, args), arguments);
    bench_free(bench);
    free(text);
    json_decref(section);
}

static void refuses_argument(const char *words, const char *inputs, const char *args, const char *reason) {
    json_t *section = json(inputs);
    char *text;

    json_object_set_new(section, "command", json_sprintf("printf [%%s] %s", words));
    text = json_dumps(section, 0);
    struct bench *bench = bench_new(text);
    assert_string_equal(bench_call(bench, args), reason);
    assert_true(fake_failed(&bench->fake));
    assert_int_equal(bench->fake.started, 0);
    bench_free(bench);
    free(text);
    json_decref(section);
}

static void splits_words_as_a_shell_does(void **state) {
    (void)state;
    shows("a  b\t c\nd", "{}", "{}", "[a][b][c][d]");
    shows("'a b' \"c d\" e' 'f g\\ h", "{}", "{}", "[a b][c d][e f][g h]");
    shows("'' \"\" x''", "{}", "{}", "[][][x]");
    shows("'a\\b\"' \"a\\b\\\"\\\\\\$'\" \\'", "{}", "{}", "[a\\b\"][a\\b\"\\$'][']");
    shows("a\\\nb \"c\\\nd\" \"\\\\\nx\"", "{}", "{}", "[ab][cd][\\\nx]");
}

static void knows_nothing_else_that_a_shell_knows(void **state) {
    (void)state;
    shows("$HOME * ~ `id` $(id) a|b !x #y", "{}", "{}", "[$HOME][*][~][`id`][$(id)][a|b][!x][#y]");
    shows("'|' \\> \"&&\"", "{}", "{}", "[|][>][&&]");
}

static void a_placeholder_is_one_argument_whatever_is_in_it(void **state) {
    (void)state;
    shows("{a}", "{\"input.a\": \"string\"}", "{\"a\": \"x y; rm '\\\" $(id) {a}\"}", "[x y; rm '\" $(id) {a}]");
    shows("--a={a}! {a}", "{\"input.a\": \"string\"}", "{\"a\": \"1 2\"}", "[--a=1 2!][1 2]");
    shows("\"<{a}>\" '{a}' {{a} {{}} }", "{\"input.a\": \"string\"}", "{\"a\": \"\"}", "[<>][{a}][{a}][{}}][}]");
    shows("x {a}", "{\"input.a\": \"string\"}", "{\"a\": \"\"}", "[x][]");
}

static void an_absent_input_takes_its_word_along(void **state) {
    (void)state;
    shows("a --b={b} {b} \"{b}\" c", "{\"input.b\": \"string, optional\"}", "{}", "[a][c]");
    shows("a --b={b}{c}", "{\"input.b\": \"string, optional\", \"input.c\": \"string\"}", "{\"c\": \"x\"}", "[a]");
    shows("a {b} c", "{\"input.b\": \"array, optional\"}", "{}", "[a][c]");
}

static void a_default_stands_for_what_is_absent(void **state) {
    (void)state;
    shows("{a}", "{\"input.a\": \"string = x y : text\"}", "{}", "[x y]");
    shows("{a}", "{\"input.a\": \"string = \\\" : \\\": text\"}", "{}", "[ : ]");
    shows("{a}", "{\"input.a\": \"integer = 7\"}", "{}", "[7]");
    shows("{a}", "{\"input.a\": \"integer = 7\"}", "{\"a\": 8}", "[8]");
    shows("{a}", "{\"input.a\": \"boolean = false\"}", "{}", "[false]");
}

static void prints_values_as_programs_read_them(void **state) {
    (void)state;
    shows("{a}", "{\"input.a\": \"boolean\"}", "{\"a\": true}", "[true]");
    shows("{a}", "{\"input.a\": \"number\"}", "{\"a\": 0.1}", "[0.1]");
    shows("{a}", "{\"input.a\": \"number\"}", "{\"a\": 5.0}", "[5]");
    shows("{a}", "{\"input.a\": \"number\"}", "{\"a\": 1e300}", "[1e+300]");
    shows("{a}", "{\"input.a\": \"number\"}", "{\"a\": 0.30000000000000004}", "[0.30000000000000004]");
    shows("{a}", "{\"input.a\": \"integer\"}", "{\"a\": 9223372036854775807}", "[9223372036854775807]");
    shows("{a}", "{\"input.a\": \"enum(one|two words)\"}", "{\"a\": \"two words\"}", "[two words]");
}

static void an_array_is_as_many_arguments_as_it_has_elements(void **state) {
    (void)state;
    shows("a {b} c", "{\"input.b\": \"array\"}", "{\"b\": [\"1 2\", \"\", \"3\"]}", "[a][1 2][][3][c]");
    shows("a {b} c", "{\"input.b\": \"array\"}", "{\"b\": []}", "[a][c]");
}

static const char *const dash_a = "argument 'a' begins with '-' and would be taken for an option, so it is refused (a "
                                  "file is ./-name); the tool's configuration can allow it with ', dash'";

static void refuses_what_would_be_an_option(void **state) {
    (void)state;
    refuses_argument("{a}", "{\"input.a\": \"string\"}", "{\"a\": \"-rf\"}", dash_a);
    refuses_argument("{a}", "{\"input.a\": \"string\"}", "{\"a\": \"-\"}", dash_a);
    refuses_argument("--x={a}", "{\"input.a\": \"string\"}", "{\"a\": \"-rf\"}", dash_a);
    refuses_argument("{a}", "{\"input.a\": \"number\"}", "{\"a\": -0.5}", dash_a);
    refuses_argument("{a}", "{\"input.a\": \"array\"}", "{\"a\": [\"x\", \"--y\"]}", dash_a);
    refuses_argument("{a} -- b", "{\"input.a\": \"string\"}", "{\"a\": \"-rf\"}", dash_a);
    refuses_argument("{b} {a}", "{\"input.a\": \"string\", \"input.b\": \"string\"}", "{\"b\": \"--\", \"a\": \"-x\"}",
                     "argument 'b' begins with '-' and would be taken for an option, so it is refused (a file is "
                     "./-name); the tool's configuration can allow it with ', dash'");
    refuses_argument("{a}-backup", "{\"input.a\": \"string\"}", "{\"a\": \"\"}",
                     "argument 'a' may not be empty here: what follows it would be taken for an option");
}

static void lets_a_dash_pass_where_it_is_meant(void **state) {
    (void)state;
    shows("-- {a} {a}", "{\"input.a\": \"string\"}", "{\"a\": \"-rf\"}", "[--][-rf][-rf]");
    shows("{a}", "{\"input.a\": \"string, dash\"}", "{\"a\": \"-rf\"}", "[-rf]");
    shows("-- {a}", "{\"input.a\": \"array\"}", "{\"a\": [\"-x\"]}", "[--][-x]");
    shows("{a}", "{\"input.a\": \"array, dash\"}", "{\"a\": [\"-x\"]}", "[-x]");
    shows("{a}", "{\"input.a\": \"integer, dash = -1\"}", "{}", "[-1]");
    shows("{a}", "{\"input.a\": \"enum(-l|-a), dash\"}", "{\"a\": \"-l\"}", "[-l]");
    shows("{a}", "{\"input.a\": \"string\"}", "{\"a\": \"a-b\"}", "[a-b]");
}

static void a_declared_dash_is_not_a_literal_one(void **state) {
    (void)state;
    refuses_argument("{b} {a}", "{\"input.a\": \"string\", \"input.b\": \"string, dash\"}",
                     "{\"b\": \"--\", \"a\": \"-x\"}", dash_a);
}

static void refuses_a_nul_character(void **state) {
    (void)state;
    refuses_argument("-- {a}", "{\"input.a\": \"string\"}", "{\"a\": \"x\\u0000y\"}",
                     "argument 'a' holds a NUL character, which no program's argument can hold");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_words_as_a_shell_does),
        cmocka_unit_test(knows_nothing_else_that_a_shell_knows),
        cmocka_unit_test(a_placeholder_is_one_argument_whatever_is_in_it),
        cmocka_unit_test(an_absent_input_takes_its_word_along),
        cmocka_unit_test(a_default_stands_for_what_is_absent),
        cmocka_unit_test(prints_values_as_programs_read_them),
        cmocka_unit_test(an_array_is_as_many_arguments_as_it_has_elements),
        cmocka_unit_test(refuses_what_would_be_an_option),
        cmocka_unit_test(lets_a_dash_pass_where_it_is_meant),
        cmocka_unit_test(a_declared_dash_is_not_a_literal_one),
        cmocka_unit_test(refuses_a_nul_character),
    };

    return cmocka_run_group_tests_name("plugins/exec_command", tests, NULL, NULL);
}
