#include "test.h"

#include "rpc/schema_pattern.h"

static int match(const char *pattern_text, const char *text) {
    CLEANUP(pattern_free) struct pattern *pattern = NULL;
    struct effort effort = {.left = 1000000};
    struct pattern_work work = {.effort = &effort};
    struct theseus_error err = {0};

    if (pattern_new(&pattern, span_of(pattern_text), &err) < 0)
        print_message("%s: %s\n", pattern_text, err.message);
    assert_non_null(pattern);
    int r = pattern_match(pattern, &work, span_of(text), &err);
    pattern_work_fini(&work);
    return r;
}

static void finds(const char *pattern, const char *text) {
    if (match(pattern, text) != 0)
        print_message("%s does not match '%s'\n", pattern, text);
    assert_int_equal(match(pattern, text), 0);
}

static void misses(const char *pattern, const char *text) {
    if (match(pattern, text) != PATTERN_MISS)
        print_message("%s matches '%s'\n", pattern, text);
    assert_int_equal(match(pattern, text), PATTERN_MISS);
}

static void refuses(const char *pattern_text, const char *message) {
    CLEANUP(pattern_free) struct pattern *pattern = NULL;
    struct theseus_error err = {0};

    if (pattern_new(&pattern, span_of(pattern_text), &err) == 0)
        print_message("%s is accepted\n", pattern_text);
    assert_string_equal(err.message, message);
}

/* The library that would free what there is of the pattern is not open yet. */
static void refuses_the_first_one_of_all(void **state) {
    (void)state;
    refuses("\\", "\\ at the end of the pattern");
}

static void is_not_anchored_by_itself(void **state) {
    (void)state;
    finds("b", "abc");
    finds("", "");
    misses("^b", "abc");
    misses("a$", "a\n");
    misses("^b", "a\nb");
}

static void knows_ascii_digits_and_words_only(void **state) {
    (void)state;
    finds("^\\d\\w$", "0_");
    misses("^\\d$", "\xd9\xa3");
    misses("^\\w$", "\xc3\xa4");
    finds("^\\D\\W$", "\xd9\xa3\xc3\xa4");
}

static void knows_every_space_and_line_end(void **state) {
    (void)state;
    finds("^\\s[\\s][^\\S]$", "\xe3\x80\x80\xef\xbb\xbf\xc2\xa0");
    misses("^\\S$", "\xe3\x80\x80");
    finds("^[\\s\\S]$", "\n");
    finds("^[\\S]$", "x");
    finds("^.$", "\xc2\x85");
    misses("^.$", "\xe2\x80\xa8");
    misses("^.$", "\r");
}

static void reads_unicode_escapes(void **state) {
    (void)state;
    finds("^\\u00e4\\uD83D\\uDE00\\u{1F600}\\x41\\cJ\\0?$", "\xc3\xa4\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
                                                            "A\n");
    finds("^[\\uD83D\\uDE00-\\uD83D\\uDE02]$", "\xf0\x9f\x98\x81");
    refuses("\\uD83D", "\\ud83d is half of a surrogate pair");
    refuses("\\uDE00x", "\\ude00 is half of a surrogate pair");
    refuses("\\u12", "\\u needs four hexadecimal digits");
}

static void reads_unicode_properties(void **state) {
    (void)state;
    finds("^\\p{Letter}\\p{Lu}\\P{Number}\\p{General_Category=Decimal_Number}$", "\xc3\xa4"
                                                                                 "Ax1");
    finds("^[\\p{Script=Greek}\\p{L}]$", "\xce\xb1");
    misses("^\\p{Letter}$", "1");
    refuses("\\pL", "\\p needs a name in braces");
    refuses("\\p{L", "\\p needs a name in braces");
    refuses("\\p{Nonsense}", "unknown property after \\P or \\p");
}

static void reads_classes_and_groups(void **state) {
    (void)state;
    finds("^[[:a]$", ":");
    misses("^[]$", "a");
    finds("^[^]$", "\n");
    finds("^[\\w.-]+@[a-z]+\\.com$", "a-b.c@x.com");
    finds("^(?<first>a)\\k<first>(?:b)(?=c)(?!d)c(?<=c)(?<!b)\\1$", "aabca");
    finds("^a{2,3}?{$", "aa{");
    finds("^a{,2}$", "a{,2}");
}

static void refuses_what_is_not_ecma_262(void **state) {
    (void)state;
    refuses("\\Aa", "\\A is no escape of ECMA-262");
    refuses("a\\Z", "\\Z is no escape of ECMA-262");
    refuses("[\\B]", "\\B is no escape of ECMA-262");
    refuses("(?i)a", "(?i is no group of ECMA-262");
    refuses("(?>a)", "(?> is no group of ECMA-262");
    refuses("(*ACCEPT)", "nothing to repeat before *");
    refuses("a++", "nothing to repeat before +");
    refuses("a{2}*", "nothing to repeat before *");
    refuses("\\", "\\ at the end of the pattern");
}

static void charges_for_backtracking(void **state) {
    CLEANUP(pattern_free) struct pattern *pattern = NULL;
    struct effort effort = {.left = 30000};
    struct pattern_work work = {.effort = &effort};
    struct theseus_error err = {0};
    const struct span cheap = span_of("aaab"), dear = span_of("aaaaaaaaaaaaaaab");

    (void)state;
    assert_int_equal(pattern_new(&pattern, span_of("^(a+)+$"), &err), 0);
    assert_int_equal(pattern_match(pattern, &work, cheap, &err), PATTERN_MISS);
    assert_true(effort.left > 29000);
    assert_int_equal(pattern_match(pattern, &work, dear, &err), PATTERN_MISS);
    assert_true(effort.left < 10000);
    assert_int_equal(pattern_match(pattern, &work, dear, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(effort.left, 0);
    pattern_work_fini(&work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_the_first_one_of_all), /* before any other */
        cmocka_unit_test(is_not_anchored_by_itself),      cmocka_unit_test(knows_ascii_digits_and_words_only),
        cmocka_unit_test(knows_every_space_and_line_end), cmocka_unit_test(reads_unicode_escapes),
        cmocka_unit_test(reads_unicode_properties),       cmocka_unit_test(reads_classes_and_groups),
        cmocka_unit_test(refuses_what_is_not_ecma_262),   cmocka_unit_test(charges_for_backtracking),
    };

    return cmocka_run_group_tests_name("rpc/schema_pattern", tests, NULL, NULL);
}
