/* Many made-up texts and values, read and written by us and by jansson. They are the same in every run. */
#include "test.h"

#include "rpc/jsontext_difference.h"

#include <stdio.h>

enum { TEXTS = 400000, TEXT_BYTES = 512 };

static uint64_t random_state = UINT64_C(0x9E3779B97F4A7C15);

/* xorshift64: good enough to choose bytes. */
static uint32_t random_below(uint32_t limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % limit;
}

static const char *const seeds[] = {
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"a\":\"b\"}}}",
    "[1,-2,0,-0,3.25,1e3,-1E-2,0.1,9223372036854775807,-9223372036854775808]",
    "[1e308,1.7976931348623157e308,4.9e-324,123456789012345678]",
    "\"\\u00e4\\u20ac\\ud83d\\ude00\\u0000\\n\\\"\\\\\\/\\b\\f\\r\\t\"",
    "\"gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80 and then enough plain text to fill more than one block of bytes\"",
    "{\"a\":{\"b\":[true,false,null,{}],\"c\":[]},\"\":\"\",\"\\u0061b\":1}",
    " [ 1 , { \"k\" : \"v\" } ]\r\n\t",
    "0.000001",
    "true",
};

static const char *const pieces[] = {"\"",
                                     "\\",
                                     "\\u",
                                     "\\u0000",
                                     "\\ud800",
                                     "\\udc00",
                                     "\\uDBFF\\uDFFF",
                                     "{",
                                     "}",
                                     "[",
                                     "]",
                                     ",",
                                     ":",
                                     "\n",
                                     " ",
                                     "0",
                                     "-",
                                     ".",
                                     "e",
                                     "E+",
                                     "9999",
                                     "null",
                                     "tru",
                                     "\x7f",
                                     "\x1f",
                                     "\xc3",
                                     "\xa4",
                                     "\xe0",
                                     "\xed\xa0\x80",
                                     "\xf0",
                                     "\xf4\x90",
                                     "\xff",
                                     "\"a\":1,",
                                     "{}",
                                     "1e9",
                                     "\"\":",
                                     "\xc0\x80"};

struct text {
    char bytes[TEXT_BYTES];
    size_t len;
};

static void replace(struct text *text, size_t at, size_t old_len, struct span piece) {
    if (at + old_len > text->len || text->len - old_len + piece.len > sizeof(text->bytes))
        return;
    memmove(text->bytes + at + piece.len, text->bytes + at + old_len, text->len - at - old_len);
    memcpy(text->bytes + at, piece.data, piece.len);
    text->len += piece.len - old_len;
}

static void change(struct text *text) {
    const char *seed = seeds[random_below(ARRAY_SIZE(seeds))];
    size_t at = random_below((uint32_t)text->len + 1);
    size_t from = random_below((uint32_t)strlen(seed));
    char byte = (char)random_below(256);

    switch (random_below(5)) {
    case 0:
        replace(text, at, 0, span_of(pieces[random_below(ARRAY_SIZE(pieces))]));
        break;
    case 1:
        replace(text, at, 1, span_of(pieces[random_below(ARRAY_SIZE(pieces))]));
        break;
    case 2:
        replace(text, at, 1, (struct span){&byte, 1});
        break;
    case 3:
        replace(text, at, 1 + random_below(4), span_of(""));
        break;
    default:
        replace(text, at, 0, (struct span){seed + from, random_below((uint32_t)(strlen(seed) - from)) + 1});
    }
}

/* A copy of the exact size, so that reading beyond its end is found. */
static const char *difference(const struct text *text) {
    CLEANUP(free) char *copy = xcalloc(text->len, 1);

    memcpy(copy, text->bytes, text->len);
    return jsontext_difference((struct span){copy, text->len});
}

static void treats_made_up_texts_as_jansson_does(void **state) {
    size_t accepted = 0;

    (void)state;
    for (int i = 0; i < TEXTS; i++) {
        struct text text = {.len = 0};
        replace(&text, 0, 0, span_of(seeds[(size_t)i % ARRAY_SIZE(seeds)]));
        for (uint32_t changes = random_below(4); changes > 0; changes--)
            change(&text);
        const char *what = difference(&text);
        if (what)
            print_error("%s: %.*s\n", what, (int)text.len, text.bytes);
        assert_null(what);
        json_auto_t *value = jsontext_read((struct span){text.bytes, text.len}, NULL);
        accepted += value != NULL;
    }
    assert_in_range(accepted, TEXTS / 5, TEXTS / 5 * 4); /* neither verdict is the exception */
}

static void reads_and_writes_any_double_as_jansson_does(void **state) {
    (void)state;
    for (int i = 0; i < TEXTS / 10; i++) {
        uint64_t bits = (uint64_t)random_below(UINT32_MAX) << 32 | random_below(UINT32_MAX);
        double number;
        memcpy(&number, &bits, sizeof(number));
        json_auto_t *value = json_real(i % 2 ? number : (double)(int32_t)bits / 100);
        if (value)
            assert_null(write_difference(value));
    }
}

static void reads_and_writes_any_integer_as_jansson_does(void **state) {
    (void)state;
    for (int i = 0; i < TEXTS / 10; i++) {
        uint64_t bits = (uint64_t)random_below(UINT32_MAX) << 32 | random_below(UINT32_MAX);
        json_auto_t *value = json_integer((json_int_t)(bits >> random_below(64)));
        json_auto_t *negative = json_integer(-json_integer_value(value));
        assert_null(write_difference(value));
        assert_null(write_difference(negative));
    }
}

static void assert_no_difference(const char *text) {
    const char *what = jsontext_difference(span_of(text));

    if (what)
        print_error("%s: %s\n", what, text);
    assert_null(what);
}

static void unescapes_every_unit_and_the_borders_of_pairs_as_jansson_does(void **state) {
    static const unsigned highs[] = {0xD7FF, 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xE000};
    static const unsigned lows[] = {0, 0xDBFF, 0xDC00, 0xDFFF, 0xE000, 0xFFFF};
    char text[32];

    (void)state;
    for (unsigned unit = 0; unit <= 0xFFFF; unit++) {
        (void)snprintf(text, sizeof(text), unit % 2 ? "\"\\u%04x\"" : "\"\\u%04X\"", unit);
        assert_no_difference(text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(highs); i++)
        for (size_t j = 0; j < ARRAY_SIZE(lows); j++) {
            (void)snprintf(text, sizeof(text), "[\"\\u%04X\\u%04X\"]", highs[i], lows[j]);
            assert_no_difference(text);
        }
}

/* The buffer's memory ends at every place of the string once. */
static void writes_escapes_at_every_place_as_jansson_does(void **state) {
    char text[600] = "";

    (void)state;
    for (size_t len = 0; len + 3 < sizeof(text); len++) {
        memcpy(text + len, "x\001", 3);
        json_auto_t *value = json_string(text);
        assert_null(write_difference(value));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(treats_made_up_texts_as_jansson_does),
        cmocka_unit_test(reads_and_writes_any_double_as_jansson_does),
        cmocka_unit_test(reads_and_writes_any_integer_as_jansson_does),
        cmocka_unit_test(unescapes_every_unit_and_the_borders_of_pairs_as_jansson_does),
        cmocka_unit_test(writes_escapes_at_every_place_as_jansson_does),
    };

    return cmocka_run_group_tests_name("rpc/jsontext_random", tests, NULL, NULL);
}
