#include "test.h"

#include "config/dir.h"
#include "config/load.h"

static int load_tools(const char *path, struct config_section **ret_sections, size_t *ret_count, struct said *said) {
    struct theseus_error err = {0};

    *said = (struct said){0};
    int r = config_load_tools_file(path, ret_sections, ret_count, note, said, &err);
    assert_true(r == 0 ? !err.code && !*said->text : err.code && *said->text);
    return r;
}

static void reads_tools_in_the_order_of_names(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free)
    char *path = dir_file(&dir, "x.ini", "[tool:b]\ncommand = ls\n  -l\n[tool:a]\n.isolation = x\n", 0644);
    struct config_section *sections = NULL;
    size_t count = 0;
    struct said said;

    (void)state;
    assert_int_equal(load_tools(path, &sections, &count, &said), 0);
    assert_int_equal(count, 2);
    assert_string_equal(sections[0].name, "a");
    assert_string_equal(sections[1].name, "b");
    assert_string_equal(setting(&sections[1], "command"), "ls\n-l");
    assert_string_equal(sections[1].file, path);
    assert_int_equal(config_section_line(&sections[1], "command"), 2);
    (void)config_sections_free(sections, count);
}

static void accepts_a_file_without_tools(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", "; nothing yet\n", 0644);
    struct config_section *sections = NULL;
    size_t count = 1;
    struct said said;

    (void)state;
    assert_int_equal(load_tools(path, &sections, &count, &said), 0);
    assert_int_equal(count, 0);
    (void)config_sections_free(sections, count);
}

static void refuses_other_sections_and_bad_lines(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", "[tool:a]\nword\n[server]\n[tool:b c]\n", 0644);
    CLEANUP(free)
    char *why =
        xasprintf("%s:2: neither '[section]' nor 'key = value'\n"
                  "%s:3: [server]: a file in a plugin directory holds [tool:NAME] sections only; the others belong in "
                  "theseus.ini\n"
                  "%s:4: [tool:b c]: a tool's name is 1 to 64 characters of A-Z a-z 0-9 _ -\n",
                  path, path, path);
    struct config_section *sections = NULL;
    size_t count;
    struct said said;

    (void)state;
    assert_int_equal(load_tools(path, &sections, &count, &said), -1);
    assert_string_equal(said.text, why);
    assert_null(sections);
}

static void refuses_a_file_that_is_gone_or_not_trusted(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", "", 0666);
    CLEANUP(free)
    char *not_trusted = xasprintf("'%s' may be written by others; mend it with: chmod go-w '%s'\n", path, path);
    CLEANUP(free) char *gone = xasprintf("the file '%s' does not exist\n", path);
    struct config_section *sections = NULL;
    size_t count;
    struct said said;

    (void)state;
    assert_int_equal(load_tools(path, &sections, &count, &said), -1);
    assert_string_equal(said.text, not_trusted);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(load_tools(path, &sections, &count, &said), -1);
    assert_string_equal(said.text, gone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_tools_in_the_order_of_names),
        cmocka_unit_test(accepts_a_file_without_tools),
        cmocka_unit_test(refuses_other_sections_and_bad_lines),
        cmocka_unit_test(refuses_a_file_that_is_gone_or_not_trusted),
    };

    return cmocka_run_group_tests_name("config/toolfile", tests, NULL, NULL);
}
