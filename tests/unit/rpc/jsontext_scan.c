#include "test.h"

#include "rpc/jsontext_scan.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

enum { LONGEST = 70 };

/* One byte at a time: what the fast ones must find. */
static size_t plain_ascii_len(const char *text, size_t len) {
    size_t n = 0;

    while (n < len && (unsigned char)text[n] >= 0x20 && (unsigned char)text[n] < 0x80 && !strchr("\"\\", text[n]))
        n++;
    return n;
}

static void check_text(const char *text, size_t len) {
    size_t expected = plain_ascii_len(text, len);

    assert_int_equal(jsontext_skip_ascii(text, text + len) - text, expected);
    if (expected == len || (text[expected] & 0x80) == 0)
        assert_int_equal(jsontext_skip_plain(text, text + len) - text, expected);
}

static void stops_at_every_special_byte_at_every_place(void **state) {
    (void)state;
    for (size_t len = 1; len <= LONGEST; len++) {
        CLEANUP(free) char *text = xcalloc(len, 1);
        for (size_t at = 0; at < len; at++)
            for (int byte = 0; byte < 256; byte++) {
                memset(text, 'x', len);
                text[at] = (char)byte;
                check_text(text, len);
            }
    }
}

/* A special byte must not make its neighbours special, nor hide them. */
static void tells_neighbours_apart(void **state) {
    static const char bytes[] = {0, 1, 0x1f, 0x20, 0x21, '"', '#', '[', '\\', ']', 0x7f, (char)0x80, (char)0xff};
    char text[24];

    (void)state;
    for (size_t at = 0; at + 1 < sizeof(text); at++)
        for (size_t i = 0; i < sizeof(bytes); i++)
            for (size_t j = 0; j < sizeof(bytes); j++) {
                memset(text, ' ', sizeof(text));
                text[at] = bytes[i];
                text[at + 1] = bytes[j];
                check_text(text, sizeof(text));
            }
}

static size_t put_utf8(char *to, unsigned c) {
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3F));
    to[0] = (char)(leads[len] | c);
    return len;
}

static void passes_every_character_but_surrogates(void **state) {
    char text[4];

    (void)state;
    for (unsigned c = 0x80; c < 0x120000; c++) {
        size_t len = put_utf8(text, c);
        bool good = (c < 0xD800 || c > 0xDFFF) && c <= 0x10FFFF;
        assert_int_equal(jsontext_skip_plain(text, text + len) - text, good ? len : 0);
        for (size_t cut = 1; cut < len; cut++)
            assert_ptr_equal(jsontext_skip_plain(text, text + cut), text);
    }
}

static void stops_at_overlong_forms_and_stray_bytes(void **state) {
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xc3x",
                                      "\xe2\x82x",
                                      "\xe2x\xac",
                                      "\xf0\x9f\x98x",
                                      "\xf8\x88\x80\x80\x80"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_ptr_equal(jsontext_skip_plain(bad[i], bad[i] + strlen(bad[i])), bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_at_every_special_byte_at_every_place),
        cmocka_unit_test(tells_neighbours_apart),
        cmocka_unit_test(passes_every_character_but_surrogates),
        cmocka_unit_test(stops_at_overlong_forms_and_stray_bytes),
    };

    return cmocka_run_group_tests_name("rpc/jsontext_scan", tests, NULL, NULL);
}
