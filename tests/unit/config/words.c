#include "test.h"

#include "config/words.h"

#include "base/mem.h"

static void splits_at_any_separator_and_drops_empty_pieces(void **state) {
    char **words = words_split(":a::bc,d:", ":,");
    char **none = words_split("::", ":");

    (void)state;
    assert_string_equal(words[0], "a");
    assert_string_equal(words[1], "bc");
    assert_string_equal(words[2], "d");
    assert_null(words[3]);
    assert_null(none[0]);
    assert_null(words_free(words));
    assert_null(words_free(none));
}

static void begins_with_no_list_at_all(void **state) {
    char **words = NULL;

    (void)state;
    words_add(&words, xstrdup("a"));
    words_add(&words, xstrdup("b"));
    assert_string_equal(words[0], "a");
    assert_string_equal(words[1], "b");
    assert_null(words[2]);
    assert_null(words_free(words));
    assert_null(words_free(NULL));
}

static void compares_words_and_their_number(void **state) {
    char **ab = words_split("a b", " "), **a = words_split("a", " "), **ac = words_split("a c", " ");

    (void)state;
    assert_true(words_same(ab, ab));
    assert_false(words_same(ab, a));
    assert_false(words_same(a, ab));
    assert_false(words_same(ab, ac));
    (void)words_free(ab);
    (void)words_free(a);
    (void)words_free(ac);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_at_any_separator_and_drops_empty_pieces),
        cmocka_unit_test(begins_with_no_list_at_all),
        cmocka_unit_test(compares_words_and_their_number),
    };

    return cmocka_run_group_tests_name("config/words", tests, NULL, NULL);
}
