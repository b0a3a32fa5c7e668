#include "test.h"

#include "server/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static void shows(const char *label, const char *text, const char *expected) {
    char *shown = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&shown, &len);

    assert_non_null(out);
    rows_print(out, label, "%s", text);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(shown, expected);
    free(shown);
}

static void puts_two_columns(void **state) {
    (void)state;
    shows("label", "text", "  label          text\n");
    shows(NULL, "of the same", "                 of the same\n");
    shows("label", "", "  label          \n");
    shows("one that is long", "text", "  one that is long\n                 text\n");
}

static void wraps_at_the_width(void **state) {
    char full[64], word[100];

    (void)state;
    memset(full, 'x', 63);
    full[63] = '\0';
    CLEANUP(free) char *two = xasprintf("%s y", full);
    CLEANUP(free) char *wrapped = xasprintf("  label          %s\n                 y\n", full);
    shows("label", two, wrapped);
    memset(word, 'x', 99);
    word[99] = '\0';
    CLEANUP(free) char *whole = xasprintf("  label          %s\n", word); /* a path stays one */
    shows("label", word, whole);
}

static void counts_characters_and_disarms_them(void **state) {
    CLEANUP(buf_fini) struct buf text = {0};

    (void)state;
    for (int i = 0; i < 63; i++)
        assert_int_equal(buf_printf(&text, NULL, "\xc3\xa4"), 0);
    CLEANUP(free) char *word = buf_take_string(&text);
    CLEANUP(free) char *two = xasprintf("%s y", word);
    CLEANUP(free) char *wrapped = xasprintf("  label          %s\n                 y\n", word);
    shows("label", two, wrapped);
    shows("a\033b", "c\033[2J\n\t\x7f\xc2\x9b", "  a?b            c?[2J?????\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_two_columns),
        cmocka_unit_test(wraps_at_the_width),
        cmocka_unit_test(counts_characters_and_disarms_them),
    };

    return cmocka_run_group_tests_name("server/rows", tests, NULL, NULL);
}
