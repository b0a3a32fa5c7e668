#include "test.h"

#include "base/utf8.h"

#include <stdlib.h>

#include "base/mem.h"

static bool is_valid(const char *text) {
    return utf8_is_valid(span_of(text));
}

static void knows_characters_from_other_bytes(void **state) {
    static const char *const good[] = {"",
                                       "plain",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2 ",
                                      "\xe0\x9f\xbf",
                                      "\xe1\x80",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xfe",
                                      "\xff",
                                      "a\xff",
                                      "\xe2\x82\xac\x80"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(is_valid(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(is_valid(bad[i]));
    assert_true(utf8_is_valid((struct span){"a\0b", 3}));
}

static void cleans(const char *text, const char *clean, const char *mended) {
    CLEANUP(free) char *copy = xstrdup(text);
    size_t len;
    CLEANUP(free) char *got = utf8_clean(span_of(text), &len);

    assert_string_equal(got, clean);
    assert_int_equal(len, strlen(clean));
    utf8_mend(copy);
    assert_string_equal(copy, mended);
}

static void replaces_each_byte_of_no_character(void **state) {
    (void)state;
    cleans("", "", "");
    cleans("\xe2\x82\xac", "\xe2\x82\xac", "\xe2\x82\xac");
    cleans("a\xff"
           "b",
           "a\xef\xbf\xbd"
           "b",
           "a?b");
    cleans("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd", "??");
    cleans("\xe2\x82z\xe2\x82\xac", "\xef\xbf\xbd\xef\xbf\xbdz\xe2\x82\xac", "??z\xe2\x82\xac");
}

/* Every sequence of two bytes, in memory of its own size: nothing behind it is read. */
static void reads_nothing_behind_the_text(void **state) {
    (void)state;
    for (unsigned pair = 0; pair < 65536; pair++) {
        CLEANUP(free) char *bytes = xcalloc(2, 1);
        size_t len;
        bytes[0] = (char)(pair >> 8);
        bytes[1] = (char)pair;
        CLEANUP(free) char *clean = utf8_clean((struct span){bytes, 2}, &len);
        assert_true(utf8_is_valid((struct span){clean, len}));
        assert_int_equal(utf8_is_valid((struct span){bytes, 2}), len == 2 && memcmp(clean, bytes, 2) == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_characters_from_other_bytes),
        cmocka_unit_test(replaces_each_byte_of_no_character),
        cmocka_unit_test(reads_nothing_behind_the_text),
    };

    return cmocka_run_group_tests_name("base/utf8", tests, NULL, NULL);
}
