#include "exec.h"

static void refuses(const char *section, const char *message) {
    struct theseus_error err = {0};
    json_t *config = json_pack("{s:{s:o}}", "tool", "t", json(section));

    assert_int_equal(theseus_plugin.check(NULL, config, &err), -1);
    assert_string_equal(err.message, message);
    json_decref(config);
}

static void takes(const char *section) {
    struct theseus_error err = {0};
    json_t *config = json_pack("{s:{s:o}}", "tool", "t", json(section));

    if (theseus_plugin.check(NULL, config, &err) < 0)
        print_error("%s\n", err.message);
    assert_string_equal(err.message, "");
    json_decref(config);
}

/* With one input that the command uses. */
static void refuses_input(const char *declaration, const char *reason) {
    json_t *section = json_pack("{s:s, s:s}", "command", "x {a}", "input.a", declaration);
    char *text = json_dumps(section, 0), message[240];

    (void)snprintf(message, sizeof(message), "[tool:t] input.a: %s", reason);
    refuses(text, message);
    free(text);
    json_decref(section);
}

static void refuses_command(const char *command, const char *reason) {
    json_t *section = json_pack("{s:s, s:s}", "command", command, "input.a", "string");
    char *text = json_dumps(section, 0), message[240];

    (void)snprintf(message, sizeof(message), "[tool:t] command: %s", reason);
    refuses(text, message);
    free(text);
    json_decref(section);
}

static void names_section_and_key_of_a_bad_setting(void **state) {
    (void)state;
    refuses("{}", "[tool:t] command: is missing; it says which program to run");
    refuses("{\"comand\": \"x\"}", "[tool:t] comand: no such key; did you mean 'command'?");
    refuses("{\"command\": \"x\", \"imput.a\": \"x\"}", "[tool:t] imput.a: no such key; did you mean 'input.NAME'?");
    refuses("{\"command\": 1}", "[tool:t] command: must be text");
    refuses("{\"command\": \"x\", \"timeout\": \"5s\"}",
            "[tool:t] timeout: must be a whole number of seconds from 1 to 604800");
    refuses("{\"command\": \"x\", \"timeout\": \"0\"}",
            "[tool:t] timeout: must be a whole number of seconds from 1 to 604800");
    refuses("{\"command\": \"x\", \"timeout\": \"99999999999999999999999\"}",
            "[tool:t] timeout: must be a whole number of seconds from 1 to 604800");
    refuses("{\"command\": \"x\", \"max_output\": \"9M\"}",
            "[tool:t] max_output: must be a number of bytes from 1 to 8M, such as 65536 or 64K");
    refuses("{\"command\": \"x\", \"read_only\": \"perhaps\"}", "[tool:t] read_only: must be yes or no");
    refuses("{\"command\": \"x\", \"cwd\": \"here\"}",
            "[tool:t] cwd: must be an absolute path, or begin with ~/; leave it out for the caller's directory");
    refuses("{\"command\": \"x\", \"env.A-B\": \"\"}", "[tool:t] env.A-B: 'A-B' cannot name a variable");
    refuses("{\"command\": \"x\", \"input.a.b\": \"string\"}",
            "[tool:t] input.a.b: a name is a letter or '_', then letters, digits, '_' and '-', at most 64 characters");
    refuses("{\"command\": \"x\", \"input.a\": \"string\"}",
            "[tool:t] input.a: is used nowhere; put {a} into command or stdin (inside '…' braces are literal; use "
            "\"…\")");
    refuses("{\"command\": \"x\", \"stdin\": \"{b}\"}", "[tool:t] stdin: no input is named 'b'; add input.b = string, "
                                                        "or write {{ for a literal brace");
    refuses("{\"command\": \"x\", \"stdin\": \"{a}\", \"input.a\": \"array\"}",
            "[tool:t] stdin: input 'a' is an array, which only a word of the command of its own can take");
}

static void refuses_a_name_that_no_tool_can_have(void **state) {
    struct theseus_error err = {0};
    json_t *config = json("{\"tool\": {\"a b\": {\"command\": \"x\"}}}");

    (void)state;
    assert_int_equal(theseus_plugin.check(NULL, config, &err), -1);
    assert_string_equal(err.message, "[tool:a b] the name of a tool is 1 to 64 letters, digits, '_' and '-'");
    json_decref(config);
}

static void refuses_a_bad_declaration(void **state) {
    (void)state;
    refuses_input("int", "unknown type 'int'; types are string, number, integer, boolean, enum(a|b) and array");
    refuses_input("", "unknown type ''; types are string, number, integer, boolean, enum(a|b) and array");
    refuses_input("string, often", "unknown word 'often'; after the type may stand: optional, dash, = DEFAULT");
    refuses_input("string optional", "cannot read 'optional'; write it like: string, optional = DEFAULT: description");
    refuses_input("enum", "an enum needs its values in brackets: enum(a|b)");
    refuses_input("enum(a|b", "an enum needs its values in brackets: enum(a|b)");
    refuses_input("enum()", "an enum has an empty value; write it like enum(a|b)");
    refuses_input("enum(a||b)", "an enum has an empty value; write it like enum(a|b)");
    refuses_input("enum(a|b|a)", "the enum names 'a' twice");
    refuses_input("enum(-l|-a)", "the value '-l' begins with '-', like an option; add ', dash' to allow that");
    refuses_input("enum(a|b) = c", "the default 'c' must be one of the enum's values");
    refuses_input("integer = 1.5", "the default '1.5' must be an integer");
    refuses_input("number = many", "the default 'many' must be a number");
    refuses_input("boolean = yes", "the default 'yes' must be true or false");
    refuses_input("string = \"a\" = \"b\"", "it has two defaults");
    refuses_input("string = \"a", "the default's closing quotation mark is missing");
    refuses_input("array = a", "an array cannot have a default; declare it 'array, optional'");
}

static void refuses_a_bad_command(void **state) {
    (void)state;
    refuses_command("", "it names no program");
    refuses_command("  ", "it names no program");
    refuses_command("'' {a}", "it names no program");
    refuses_command("'x {a}", "a closing ' is missing");
    refuses_command("x \"{a}", "a closing \" is missing");
    refuses_command("x {a} \\", "it ends with a backslash");
    refuses_command("x {b}", "no input is named 'b'; add input.b = string, or write {{ for a literal brace");
    refuses_command("x {a", "'{a' is no placeholder; a literal brace is written {{");
    refuses_command("find -exec {} +", "'{}' is no placeholder; a literal brace is written {{");
    refuses_command("x {a} | y",
                    "'|' is for a shell, and there is none; start one with sh -c '…', or quote '|' to pass it on");
    refuses_command(
        "x {a} 2>&1",
        "'2>&1' is for a shell, and there is none; start one with sh -c '…', or quote '2>&1' to pass it on");
    refuses_command("{a}", "the program's name may not come from a caller: its first word holds a placeholder");
    refuses_command("A=1 x {a}", "'A=1' is for a shell; set a variable with the key env.A");
    refuses_command("sh -c \"rm {a}\"", "a caller could put commands into this script; give the value as an argument: "
                                        "sh -c 'grep \"$1\" file' sh {x}");
    refuses_command("/bin/bash -ec {a}", "a caller could put commands into this script; give the value as an argument: "
                                         "sh -c 'grep \"$1\" file' sh {x}");
    refuses("{\"command\": \"x --all={a}\", \"input.a\": \"array\"}",
            "[tool:t] command: input 'a' is an array: {a} must be a word of its own");
}

static void takes_what_is_well_formed(void **state) {
    (void)state;
    takes("{\"command\": \"x '|' \\\\> a|b $HOME *.c 'it {is}' {{}\"}");
    takes("{\"command\": \"sh -c 'echo \\\"$1\\\"' sh {a}\", \"input.a\": \"string , dash,optional:what: ever\"}");
    takes("{\"command\": \"x {a}\", \"input.a\": \"enum( -l | -a ), dash = -l : how\"}");
    takes(
        "{\"command\": \"x\", \"stdin\": \"{a}\", \"input.a\": \"string\", \"read_only\": \"On\", \"timeout\": \"5\", "
        "\"max_output\": \"1M\", \"cwd\": \"/\", \"title\": \"T\", \"env.LANG\": \"C\"}");
}

static void makes_a_schema_of_the_inputs(void **state) {
    struct bench *bench =
        bench_new("{\"command\": \"x {s} {n} {i} {b} {e} {r}\", \"title\": \"T\", \"timeout\": \"9\", "
                  "\"read_only\": \"yes\", \"description\": \"D\","
                  "\"input.s\": \"string = http://x:80/: where\", \"input.n\": \"number\","
                  "\"input.i\": \"integer = 3\", \"input.b\": \"boolean, optional: or not\","
                  "\"input.e\": \"enum(a| b c )\", \"input.r\": \"array: files\"}");
    json_t *wanted =
        json("{\"title\": \"T\", \"description\": \"D\", \"flags\": 1, \"timeout\": 10, \"schema\": {"
             "\"type\": \"object\", \"properties\": {"
             "\"s\": {\"type\": \"string\", \"default\": \"http://x:80/\", \"description\": \"where\"},"
             "\"n\": {\"type\": \"number\"}, \"i\": {\"type\": \"integer\", \"default\": 3},"
             "\"b\": {\"type\": \"boolean\", \"description\": \"or not\"},"
             "\"e\": {\"type\": \"string\", \"enum\": [\"a\", \"b c\"]},"
             "\"r\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}, \"description\": \"files\"}},"
             "\"required\": [\"n\", \"e\", \"r\"], \"additionalProperties\": false}}");

    json_t *offered = json_copy(json_object_get(bench->fake.tools, "t"));

    (void)state;
    json_object_del(offered, "data"); /* the section itself */
    assert_true(json_equal(offered, wanted));
    json_decref(offered);
    json_decref(wanted);
    bench_free(bench);
}

static void describes_a_tool_that_does_not_describe_itself(void **state) {
    struct bench *bench = bench_new("{\"command\": \"git status\"}");
    const json_t *tool = json_object_get(bench->fake.tools, "t");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(tool, "description")), "Runs the program git.");
    bench_free(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_section_and_key_of_a_bad_setting),
        cmocka_unit_test(refuses_a_name_that_no_tool_can_have),
        cmocka_unit_test(refuses_a_bad_declaration),
        cmocka_unit_test(refuses_a_bad_command),
        cmocka_unit_test(takes_what_is_well_formed),
        cmocka_unit_test(makes_a_schema_of_the_inputs),
        cmocka_unit_test(describes_a_tool_that_does_not_describe_itself),
    };

    return cmocka_run_group_tests_name("plugins/exec_section", tests, NULL, NULL);
}
