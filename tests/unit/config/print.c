/* Called with ini, markdown or man, this program prints that text instead of testing. */
#include "test.h"

#include "config/print.h"

#include <stdlib.h>

#include "base/fs.h"
#include "config/load.h"
#include "config/option.h"

static char *printed(void (*print)(FILE *to)) {
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    assert_non_null(to);
    print(to);
    assert_int_equal(fclose(to), 0);
    return text;
}

static void checked_in_file_is_what_is_printed(void **state) {
    CLEANUP(free) char *text = printed(config_print_ini);
    struct buf content = {0};

    (void)state;
    assert_int_equal(fs_read_file("config/theseus.ini", 1 << 20, &content, NULL), 0);
    CLEANUP(free) char *file = buf_take_string(&content);
    assert_string_equal(file, text);
}

static void count_change(void *arg, const char *name, bool in_place) {
    struct said *said = arg;

    (void)in_place;
    (void)strcat(strcat(said->text, name), " ");
}

static void changes_nothing_as_it_stands(void **state) {
    CLEANUP(free) char *text = printed(config_print_ini);
    struct said said;
    CLEANUP(config_free) struct config *plain = load_text("", &said);
    CLEANUP(config_free) struct config *config = load_text(text, &said);

    (void)state;
    assert_string_equal(said.text, "");
    config_diff(plain, config, count_change, &said);
    assert_string_equal(said.text, "");
}

/* Takes the ';' from every line that does not go on with a space: those are remarks. */
static void uncomment(char *text) {
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (*line == ';' && (strncmp(line, ";    ", 5) == 0 || (line[1] != ' ' && line[1] != '\n')))
            memmove(line, line + 1, strlen(line));
    }
}

static void holds_the_defaults_when_uncommented(void **state) {
    CLEANUP(free) char *text = printed(config_print_ini);
    struct said said;
    CLEANUP(config_free) struct config *plain = load_text("", &said);

    (void)state;
    uncomment(text);
    CLEANUP(config_free) struct config *config = load_text(text, &said);
    assert_string_equal(said.text, "");
    config_diff(plain, config, count_change, &said);
    assert_string_equal(said.text, "plugin:weather tool:disk_usage ");
    assert_string_equal(config->server.instructions, option_instructions);
    for (size_t i = 0; i < option_count; i++) {
        CLEANUP(free) char *line = xasprintf("\n%s =", option_table[i].key);
        assert_non_null(strstr(text, line));
    }
}

static void table_has_a_row_of_five_cells_for_each_option(void **state) {
    CLEANUP(free) char *text = printed(config_print_markdown);
    size_t rows = 0;

    (void)state;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), rows++) {
        size_t bars = 0;
        for (const char *c = line; *c; c++)
            bars += *c == '|' && (c == line || c[-1] != '\\');
        assert_int_equal(bars, 6);
    }
    assert_int_equal(rows, option_count + 2);
}

static void table_shows_default_range_and_meaning(void **state) {
    CLEANUP(free) char *text = printed(config_print_markdown);

    (void)state;
    assert_non_null(strstr(text,
                           "\n| `limits.max_line` | `8M` | bytes, 1K to 1G | the longest message that is accepted "
                           "| at once |\n"));
    assert_non_null(strstr(text, "\n| `server.workers` | `4` | number, 1 to 256 | threads for tools that may block "
                                 "| at once |\n"));
    assert_non_null(strstr(text, "last good plugins | at the next start |\n"));
    assert_non_null(strstr(text, "| `server.instructions` | a text | text, 0 to 16384 bytes |"));
}

static void manual_escapes_what_roff_would_take(void **state) {
    CLEANUP(free) char *text = printed(config_print_man);

    (void)state;
    assert_non_null(strstr(text, ".TP\n\\fBaccess.call_by_name\\fR (read_only, yes or no; default read_only)\n"
                                 "what theseus_call may run: read\\-only tools, every tool, or none.\n"));
    assert_non_null(strstr(text, "default \\(ti/.local/state/theseus)\n"));
    assert_non_null(strstr(text, "A change leads to a re\\-exec.\n"));
}

static int print_one(const char *what) {
    if (strcmp(what, "ini") == 0)
        config_print_ini(stdout);
    else if (strcmp(what, "markdown") == 0)
        config_print_markdown(stdout);
    else if (strcmp(what, "man") == 0)
        config_print_man(stdout);
    else
        return 2;
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char *argv[]) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checked_in_file_is_what_is_printed),
        cmocka_unit_test(changes_nothing_as_it_stands),
        cmocka_unit_test(holds_the_defaults_when_uncommented),
        cmocka_unit_test(table_has_a_row_of_five_cells_for_each_option),
        cmocka_unit_test(table_shows_default_range_and_meaning),
        cmocka_unit_test(manual_escapes_what_roff_would_take),
    };

    return argc > 1 ? print_one(argv[1]) : cmocka_run_group_tests_name("config/print", tests, NULL, NULL);
}
