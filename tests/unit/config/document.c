#include "test.h"

#include "config/document.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"
#include "config/load.h"

/* What the key of [tool:x] holds after reading `text`. */
static void value_is(const char *text, const char *key, const char *value) {
    struct said said;
    CLEANUP(config_free) struct config *config = load_text(text, &said);

    assert_string_equal(said.text, "");
    assert_int_equal(config->tool_count, 1);
    assert_string_equal(setting(&config->tool_sections[0], key), value);
}

static void reads_a_value_without_the_white_space_around_it(void **state) {
    (void)state;
    value_is("[tool:x]\na=b\n", "a", "b");
    value_is("[tool:x]  \na \t= \t b c\t \n", "a", "b c");
    value_is("[tool:x]\na =\n", "a", "");
    value_is("[tool:x]\na == b=c\n", "a", "= b=c");
}

static void takes_a_comment_only_at_the_start_of_a_line(void **state) {
    (void)state;
    value_is("; one\n# two\n[tool:x]\n;a=1\n#a=2\na = b ; c # d\n", "a", "b ; c # d");
    value_is("[tool:x]\na = ;b\n", "a", ";b");
    value_is("[tool:x]\na = b\n ; c\n", "a", "b\n; c");
}

static void continues_a_value_with_a_newline(void **state) {
    (void)state;
    value_is("[tool:x]\na = b\n  c\n\td = e \n", "a", "b\nc\nd = e");
    value_is("[tool:x]\na = b\n\n; between\n  c\n", "a", "b\nc");
    value_is("[tool:x]\na =\n  b\n  c\n", "a", "b\nc");
    value_is("[tool:x]\na = b\n  [c]\n", "a", "b\n[c]");
}

static void refuses_a_continuation_of_nothing(void **state) {
    (void)state;
    refuses(" a\n", "/etc/x.ini:1: an indented line continues a value, and there is none before it\n");
    refuses("[tool:x]\n a = b\n", "/etc/x.ini:2: an indented line continues a value, and there is none before it\n");
}

static void keeps_the_lines_of_sections_and_keys(void **state) {
    struct said said;
    CLEANUP(config_free) struct config *config = load_text("\n[tool:x]\na = b\n  c\n\n.d = 1\n[tool:y]\n", &said);

    (void)state;
    assert_non_null(config);
    assert_int_equal(config_section_line(&config->tool_sections[0], "a"), 3);
    assert_int_equal(config_section_line(&config->tool_sections[0], ".d"), 6);
    assert_int_equal(config_section_line(&config->tool_sections[0], "none"), 2);
    assert_int_equal(config_section_line(&config->tool_sections[1], "a"), 7);
}

static void reads_windows_line_ends_a_mark_and_a_last_line_without_end(void **state) {
    const char *text = "\xEF\xBB\xBF[tool:x]\r\na = b\r\n  c\r\n\r\nd = e";

    (void)state;
    value_is(text, "a", "b\nc");
    value_is(text, "d", "e");
}

static void keeps_a_value_that_inih_would_cut(void **state) {
    char value[1001], text[1100];

    (void)state;
    memset(value, 'v', 1000);
    value[1000] = '\0';
    (void)snprintf(text, sizeof(text), "[tool:x]\na = %s\n", value);
    value_is(text, "a", value);
}

static void keeps_a_key_and_a_section_name_at_their_limits(void **state) {
    char key[DOCUMENT_KEY_BYTES + 1] = "", name[DOCUMENT_SECTION_BYTES + 1] = "plugin:", text[1000];
    struct said said;

    (void)state;
    memset(key, 'k', DOCUMENT_KEY_BYTES);
    memset(name + 7, 'n', DOCUMENT_SECTION_BYTES - 7);
    (void)snprintf(text, sizeof(text), "[%s]\n%s = v\n", name, key);
    CLEANUP(config_free) struct config *config = load_text(text, &said);
    assert_non_null(config);
    assert_string_equal(config->plugin_sections[0].name, name + 7);
    assert_string_equal(setting(&config->plugin_sections[0], key), "v");
}

static void refuses_a_key_and_a_section_name_beyond_their_limits(void **state) {
    char key[DOCUMENT_KEY_BYTES + 2] = "", name[DOCUMENT_SECTION_BYTES + 2] = "plugin:", text[1000];

    (void)state;
    memset(key, 'k', DOCUMENT_KEY_BYTES + 1);
    memset(name + 7, 'n', DOCUMENT_SECTION_BYTES + 1 - 7);
    (void)snprintf(text, sizeof(text), "[tool:x]\n%s = v\n", key);
    refuses(text, "/etc/x.ini:2: the key is longer than 128 bytes\n");
    (void)snprintf(text, sizeof(text), "[%s]\nanything = not looked at\n", name);
    refuses(text, "/etc/x.ini:1: the section's name has 201 bytes; at most 200 are allowed\n");
}

/* "[tool:x]" and a line "a = vvv…" of `len` bytes, with that end. */
static char *text_with_line(size_t len, const char *end) {
    char *text = xasprintf("[tool:x]\n%*s%s", (int)len, "", end);

    memset(text + 9, 'v', len);
    memcpy(text + 9, "a = ", 4);
    return text;
}

static void reads_a_line_of_64_KiB(void **state) {
    CLEANUP(free) char *text = text_with_line(LIMIT_CONFIG_LINE, "\r\nb = c\n");
    struct said said;
    CLEANUP(config_free) struct config *config = load_text(text, &said);

    (void)state;
    assert_non_null(config);
    assert_int_equal(strlen(setting(&config->tool_sections[0], "a")), LIMIT_CONFIG_LINE - 4);
    assert_string_equal(setting(&config->tool_sections[0], "b"), "c");
}

static void refuses_a_line_of_one_byte_more(void **state) {
    CLEANUP(free) char *text = text_with_line(LIMIT_CONFIG_LINE + 1, "\n");

    (void)state;
    refuses(text, "/etc/x.ini:2: the line has 65537 bytes; at most 65536 are allowed\n");
}

static void refuses_what_is_no_text(void **state) {
    static const char nul[] = "[tool:x]\na = b\0c\n";
    struct said said;

    (void)state;
    assert_null(load_bytes((struct span){nul, sizeof(nul) - 1}, NULL, &said));
    assert_string_equal(said.text, "/etc/x.ini:2: the line has a NUL byte\n");
    refuses("[tool:x]\na = \xC3\n", "/etc/x.ini:2: the line is not UTF-8\n");
    refuses("[tool:x]\na = \xED\xA0\x80\n", "/etc/x.ini:2: the line is not UTF-8\n");
    refuses("[tool:x]\n; \xFF\n", "/etc/x.ini:2: the line is not UTF-8\n");
}

static void refuses_a_key_given_twice(void **state) {
    (void)state;
    refuses("[tool:x]\na = 1\nb = 2\n a\na = 3\n",
            "/etc/x.ini:5: key 'a' is given twice in [tool:x]; the first is in line 2\n");
    value_is("[tool:x]\na = 1\nA = 2\n", "a", "1");
}

static void refuses_a_section_given_twice(void **state) {
    (void)state;
    refuses("[plugin:x]\na = 1\n[plugin:y]\n[plugin:x]\na = 1\n",
            "/etc/x.ini:4: [plugin:x] is given twice; the first is in line 1\n");
    refuses("[limits]\n[server]\n[limits]\n", "/etc/x.ini:3: [limits] is given twice; the first is in line 1\n");
}

static void refuses_lines_that_are_nothing(void **state) {
    (void)state;
    refuses("a = b\n", "/etc/x.ini:1: a key before the first [section]\n");
    refuses("[tool:x]\nword\n  more\n", "/etc/x.ini:2: neither '[section]' nor 'key = value'\n");
    refuses("[tool:x]\na: b\n", "/etc/x.ini:2: neither '[section]' nor 'key = value'\n");
    refuses("[tool:x]\n = b\n", "/etc/x.ini:2: an indented line continues a value, and there is none before it\n");
    refuses("[tool:x]\n= b\n", "/etc/x.ini:2: no key before the '='\n");
    refuses("[tool:x]\na b = c\n", "/etc/x.ini:2: a key consists of A-Z a-z 0-9 _ - and points\n");
}

static void refuses_headers_that_are_broken(void **state) {
    (void)state;
    refuses("[tool:x\na = b\n c\n", "/etc/x.ini:1: the ']' of the section is missing\n");
    refuses("[tool:x] ; why\n", "/etc/x.ini:1: nothing may follow the ']' of a section\n");
    refuses("[]\n", "/etc/x.ini:1: a section is written as [name]\n");
    refuses("[\n", "/etc/x.ini:1: the ']' of the section is missing\n");
    refuses("[a[b]\n", "/etc/x.ini:1: a section is written as [name]\n");
    refuses("[a]b]\n", "/etc/x.ini:1: a section is written as [name]\n");
}

static void names_every_problem_in_the_order_of_lines(void **state) {
    (void)state;
    refuses("[limits]\nmax_line = no\nword\n[tool:a b]\n[limits]\n\xFF\n",
            "/etc/x.ini:2: limits.max_line: 'no' is not a size such as 65536, 64K or 8M\n"
            "/etc/x.ini:3: neither '[section]' nor 'key = value'\n"
            "/etc/x.ini:4: [tool:a b]: a tool's name is 1 to 64 characters of A-Z a-z 0-9 _ -\n"
            "/etc/x.ini:5: [limits] is given twice; the first is in line 1\n"
            "/etc/x.ini:6: the line is not UTF-8\n");
}

static void reads_nothing_from_nothing(void **state) {
    struct problems problems = {0};
    CLEANUP(document_free) struct document *document = document_new("f", (struct span){NULL, 0}, &problems);

    (void)state;
    assert_int_equal(document->count, 0);
    assert_int_equal(problems.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_value_without_the_white_space_around_it),
        cmocka_unit_test(takes_a_comment_only_at_the_start_of_a_line),
        cmocka_unit_test(continues_a_value_with_a_newline),
        cmocka_unit_test(refuses_a_continuation_of_nothing),
        cmocka_unit_test(keeps_the_lines_of_sections_and_keys),
        cmocka_unit_test(reads_windows_line_ends_a_mark_and_a_last_line_without_end),
        cmocka_unit_test(keeps_a_value_that_inih_would_cut),
        cmocka_unit_test(keeps_a_key_and_a_section_name_at_their_limits),
        cmocka_unit_test(refuses_a_key_and_a_section_name_beyond_their_limits),
        cmocka_unit_test(reads_a_line_of_64_KiB),
        cmocka_unit_test(refuses_a_line_of_one_byte_more),
        cmocka_unit_test(refuses_what_is_no_text),
        cmocka_unit_test(refuses_a_key_given_twice),
        cmocka_unit_test(refuses_a_section_given_twice),
        cmocka_unit_test(refuses_lines_that_are_nothing),
        cmocka_unit_test(refuses_headers_that_are_broken),
        cmocka_unit_test(names_every_problem_in_the_order_of_lines),
        cmocka_unit_test(reads_nothing_from_nothing),
    };

    return cmocka_run_group_tests_name("config/document", tests, NULL, NULL);
}
