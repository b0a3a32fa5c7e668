#include "test.h"

#include "../../../plugins/exec/output.c"
#include "../../../plugins/exec/text.c"
#include "../../../plugins/exec/utf8.c"

static void cleans(const char *bytes, size_t len, const char *wanted) {
    struct text text = {0};

    utf8_add(&text, bytes, len, SIZE_MAX);
    char *clean = text_take(&text);
    assert_string_equal(clean, wanted);
    free(clean);
}

/* Adds `text` in portions of `step` bytes to an output that keeps head + tail. */
static void keeps(const char *text, size_t head, size_t tail, const char *wanted) {
    size_t len = strlen(text);

    for (size_t step = 1; step <= len; step++) {
        struct output output;
        struct text shown = {0};
        assert_int_equal(output_init(&output, head, tail), 0);
        for (size_t at = 0; at < len; at += step)
            output_add(&output, text + at, len - at < step ? len - at : step);
        output_text(&output, &shown);
        char *clean = text_take(&shown);
        assert_string_equal(clean, wanted);
        free(clean);
        output_fini(&output);
    }
}

static void keeps_all_that_fits(void **state) {
    (void)state;
    keeps("0123456789", 5, 5, "0123456789");
    keeps("0123456789", 0, 10, "0123456789");
    keeps("012", 5, 5, "012");
    keeps("aäb", 2, 2, "aäb");
}

static void names_what_lies_between_head_and_tail(void **state) {
    (void)state;
    keeps("0123456789x", 5, 5, "01234\n[… 1 bytes left out …]\n6789x");
    keeps("0123456789abcdefghij", 2, 3, "01\n[… 15 bytes left out …]\nhij");
    keeps("0123456789", 0, 3, "[… 7 bytes left out …]\n789");
    keeps("0123456789", 0, 1, "[… 9 bytes left out …]\n9");
}

static void cuts_between_characters(void **state) {
    (void)state;
    keeps("aäbcdefghä", 2, 1, "a\n[… 11 bytes left out …]\n");
    keeps("€€€€€", 4, 4, "€\n[… 9 bytes left out …]\n€");
    keeps("😀😀😀", 5, 6, "😀\n[… 4 bytes left out …]\n😀");
}

static void replaces_what_is_no_text(void **state) {
    (void)state;
    cleans("a\0b", 3, "a\uFFFDb");
    cleans("\xff\xfe", 2, "\uFFFD\uFFFD");
    cleans("\xc0\x80", 2, "\uFFFD\uFFFD");
    cleans("\xed\xa0\x80", 3, "\uFFFD\uFFFD\uFFFD");
    cleans("\xf4\x90\x80\x80", 4, "\uFFFD\uFFFD\uFFFD\uFFFD");
    cleans("x\xe2\x82", 3, "x\uFFFD\uFFFD");
    cleans("\xf4\x8f\xbf\xbf\xed\x9f\xbf", 7, "\xf4\x8f\xbf\xbf\xed\x9f\xbf");
}

static void finds_the_newest_whole_line(void **state) {
    struct newest_line line = {0};
    char *newest;

    (void)state;
    newest_line_add(&line, "one\ntw", 6);
    assert_string_equal(newest = newest_line_take(&line), "one");
    free(newest);
    assert_null(newest_line_take(&line));
    newest_line_add(&line, "o", 1);
    assert_null(newest_line_take(&line));
    newest_line_add(&line, "\n\n10%\r20%\r3", 11);
    assert_string_equal(newest = newest_line_take(&line), "20%");
    free(newest);
}

static void cuts_a_line_at_200_characters(void **state) {
    struct newest_line line = {0};
    struct text wanted = {0};

    (void)state;
    for (int i = 0; i < 300; i++) {
        newest_line_add(&line, "€", 3);
        if (i < 200)
            text_add(&wanted, "€", 3);
    }
    newest_line_add(&line, "\n", 1);
    char *newest = newest_line_take(&line), *text = text_take(&wanted);
    assert_string_equal(newest, text);
    free(newest);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_all_that_fits),         cmocka_unit_test(names_what_lies_between_head_and_tail),
        cmocka_unit_test(cuts_between_characters),     cmocka_unit_test(replaces_what_is_no_text),
        cmocka_unit_test(finds_the_newest_whole_line), cmocka_unit_test(cuts_a_line_at_200_characters),
    };

    return cmocka_run_group_tests_name("plugins/exec_output", tests, NULL, NULL);
}
