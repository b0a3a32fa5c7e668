/*
 * Reading JSON.
 *
 * One pass by recursive descent, at most LIMIT_JSON_DEPTH deep. A string without escapes goes from the input straight
 * into jansson's copy. One with escapes is unescaped into the scratch memory first; so is a number that strtod() must
 * see with a NUL behind it.
 *
 * Scratch memory is taken once, when it is first needed, as large as the rest of the input and one byte more, and is
 * never given back before the end. It cannot run out: what a string or a number puts there is never longer than what it
 * consumed of the input (the NUL stands for the byte that ended the number, or is the one byte more).
 */
#include "rpc/jsontext.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "rpc/jsontext_scan.h"

struct reader {
    const char *begin, *at, *end; /* borrowed: the text, and the next byte to look at */
    char *scratch;                /* owned; NULL until it is needed */
    char *scratch_at;             /* its first free byte */
    int depth;                    /* arrays and objects that are open */
    const char *refusal;          /* what is wrong with the byte at `at`; NULL while nothing is */
};

static const char too_deep[] = "too many levels of arrays and objects";

static json_t *read_value(struct reader *reader);

/* A failure without a refusal means that memory ran out. */
static int refuse(struct reader *reader, const char *refusal) {
    reader->refusal = refusal;
    return -1;
}

static json_t *refuse_value(struct reader *reader, const char *refusal) {
    reader->refusal = refusal;
    return NULL;
}

static void skip_space(struct reader *reader) {
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
}

/* Is `c` the next thing? Then it is consumed. */
static bool take(struct reader *reader, char c) {
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

/* Room for a string or number that begins at `from`. NULL: no memory. */
static char *scratch_space(struct reader *reader, const char *from) {
    if (!reader->scratch)
        reader->scratch = reader->scratch_at = try_malloc((size_t)(reader->end - from) + 1);
    return reader->scratch_at;
}

/* ---- strings ---- */

/* The UTF-16 unit of the \uXXXX at `at`; -1 if there is no such thing. */
static int32_t escaped_unit(const char *at, const char *end) {
    int32_t unit = 0;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static char *put_character(char *to, int32_t c) {
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/* Consumes \uXXXX, or the two of a surrogate pair. */
static int read_unicode(struct reader *reader, char **to) {
    int32_t c = escaped_unit(reader->at, reader->end);

    if (c < 0)
        return refuse(reader, "four hexadecimal digits must follow \\u");
    if (c >= 0xD800 && c <= 0xDFFF) {
        int32_t low = c < 0xDC00 ? escaped_unit(reader->at + 6, reader->end) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return refuse(reader, "a surrogate without its other half");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        reader->at += 6;
    }
    reader->at += 6;
    *to = put_character(*to, c);
    return 0;
}

/* Consumes the escape at the reader's place and puts what it stands for. */
static int read_escape(struct reader *reader, char **to) {
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";

    if (reader->end - reader->at < 2)
        return refuse(reader, "the text ends in a string");
    if (reader->at[1] == 'u')
        return read_unicode(reader, to);
    const char *letter = memchr(letters, reader->at[1], sizeof(letters) - 1);
    if (!letter)
        return refuse(reader, "an unknown escape in a string");
    *(*to)++ = meanings[letter - letters];
    reader->at += 2;
    return 0;
}

/* The reader stands at the first byte that is not plain; the string began at `start`. */
static int read_escaped(struct reader *reader, const char *start, struct span *ret_text) {
    char *text = scratch_space(reader, start);
    char *to = text;

    if (!text)
        return -1;
    for (;;) {
        memcpy(to, start, (size_t)(reader->at - start));
        to += reader->at - start;
        if (reader->at == reader->end)
            return refuse(reader, "the text ends in a string");
        if (*reader->at == '"')
            break;
        if (*reader->at != '\\')
            return refuse(reader, (unsigned char)*reader->at < 0x20 ? "a control character in a string"
                                                                    : "a string that is not UTF-8");
        if (read_escape(reader, &to) < 0)
            return -1;
        start = reader->at;
        reader->at = jsontext_skip_plain(start, reader->end);
    }
    reader->at++;
    reader->scratch_at = to;
    *ret_text = (struct span){text, (size_t)(to - text)};
    return 0;
}

/* The reader stands behind the opening quote. The text is in the input, or in the scratch memory until the end. */
static int read_string(struct reader *reader, struct span *ret_text) {
    const char *start = reader->at;

    reader->at = jsontext_skip_plain(start, reader->end);
    if (reader->at == reader->end || *reader->at != '"')
        return read_escaped(reader, start, ret_text);
    *ret_text = (struct span){start, (size_t)(reader->at++ - start)};
    return 0;
}

static json_t *read_string_value(struct reader *reader) {
    struct span text;

    reader->at++;
    return read_string(reader, &text) < 0 ? NULL : json_stringn_nocheck(text.data, text.len);
}

/* ---- numbers ---- */

static const char *skip_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Counts downwards: there is one more negative number than there are positive ones. */
static json_t *read_integer(struct reader *reader, const char *digits, bool negative) {
    int64_t value = 0;

    for (; digits < reader->at; digits++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *digits - '0', &value))
            return refuse_value(reader, "an integer beyond 64 bits");
    if (!negative && __builtin_sub_overflow(0, value, &value))
        return refuse_value(reader, "an integer beyond 64 bits");
    return json_integer(value);
}

/* The number lies between `start` and the reader's place. Whether a plugin called setlocale() must not matter. */
static json_t *read_real(struct reader *reader, const char *start) {
    size_t len = (size_t)(reader->at - start);
    char *text = scratch_space(reader, start);
    locale_t plain = text ? newlocale(LC_ALL_MASK, "C", (locale_t)0) : (locale_t)0;

    if (!plain)
        return NULL;
    memcpy(text, start, len);
    text[len] = '\0';
    reader->scratch_at += len + 1;
    double value = strtod_l(text, NULL, plain);
    freelocale(plain);
    if (isinf(value))
        return refuse_value(reader, "a number beyond what a double holds");
    return json_real(value);
}

/* Moves `at` behind fraction and exponent. NULL: digits are missing. */
static const char *skip_real_part(const char *at, const char *end) {
    if (at < end && *at == '.') {
        const char *digits = at + 1;
        at = skip_digits(digits, end);
        if (at == digits)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        const char *digits = at + 1;
        if (digits < end && (*digits == '+' || *digits == '-'))
            digits++;
        at = skip_digits(digits, end);
        if (at == digits)
            return NULL;
    }
    return at;
}

static json_t *read_number(struct reader *reader) {
    const char *start = reader->at;
    const char *digits = start + (*start == '-');
    const char *integer_end = skip_digits(digits, reader->end);

    if (integer_end == digits)
        return refuse_value(reader, "a number without digits");
    if (*digits == '0' && integer_end - digits > 1)
        return refuse_value(reader, "a number with a zero in front");
    const char *end = skip_real_part(integer_end, reader->end);
    if (!end)
        return refuse_value(reader, "a number without digits behind its point or exponent");
    reader->at = end;
    return end == integer_end ? read_integer(reader, digits, *start == '-') : read_real(reader, start);
}

/* ---- the rest ---- */

static json_t *read_word(struct reader *reader, const char *word, json_t *value) {
    size_t len = strlen(word);

    if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
        return refuse_value(reader, "a value must stand here");
    reader->at += len;
    return value;
}

static json_t *read_array(struct reader *reader) {
    json_auto_t *array = json_array();

    reader->at++;
    if (!array)
        return NULL;
    if (take(reader, ']'))
        return TAKE_PTR(array);
    do {
        json_t *item = read_value(reader);
        if (!item || json_array_append_new(array, item) < 0)
            return NULL;
    } while (take(reader, ','));
    if (!take(reader, ']'))
        return refuse_value(reader, "',' or ']' must stand here");
    return TAKE_PTR(array);
}

/* A key that was there already leaves the object as large as it was. */
static int add_member(struct reader *reader, json_t *object, struct span key, json_t *value) {
    size_t before = json_object_size(object);

    if (json_object_setn_new_nocheck(object, key.data, key.len, value) < 0)
        return -1;
    return json_object_size(object) == before ? refuse(reader, "the object has this key already") : 0;
}

static int read_member(struct reader *reader, json_t *object) {
    struct span key;

    if (!take(reader, '"'))
        return refuse(reader, "a key must stand here");
    if (read_string(reader, &key) < 0)
        return -1;
    if (memchr(key.data, '\0', key.len))
        return refuse(reader, "a NUL in a key");
    if (!take(reader, ':'))
        return refuse(reader, "':' must stand here");
    json_t *value = read_value(reader);
    return value ? add_member(reader, object, key, value) : -1;
}

static json_t *read_object(struct reader *reader) {
    json_auto_t *object = json_object();

    reader->at++;
    if (!object)
        return NULL;
    if (take(reader, '}'))
        return TAKE_PTR(object);
    do {
        if (read_member(reader, object) < 0)
            return NULL;
    } while (take(reader, ','));
    if (!take(reader, '}'))
        return refuse_value(reader, "',' or '}' must stand here");
    return TAKE_PTR(object);
}

static json_t *read_nested(struct reader *reader, json_t *(*read)(struct reader *reader)) {
    if (reader->depth == LIMIT_JSON_DEPTH)
        return refuse_value(reader, too_deep);
    reader->depth++;
    json_t *value = read(reader);
    reader->depth--;
    return value;
}

static json_t *read_value(struct reader *reader) {
    skip_space(reader);
    switch (reader->at == reader->end ? '\0' : *reader->at) {
    case '"':
        return read_string_value(reader);
    case '{':
        return read_nested(reader, read_object);
    case '[':
        return read_nested(reader, read_array);
    case 't':
        return read_word(reader, "true", json_true());
    case 'f':
        return read_word(reader, "false", json_false());
    case '-':
    case '0' ... '9':
        return read_number(reader);
    default:
        return read_word(reader, "null", json_null());
    }
}

static json_t *read_text(struct reader *reader) {
    json_auto_t *value = read_value(reader);

    if (!value)
        return NULL;
    skip_space(reader);
    if (reader->at < reader->end)
        return refuse_value(reader, "something follows the value");
    return TAKE_PTR(value);
}

json_t *jsontext_read(struct span text, struct theseus_error *err) {
    const char *begin = text.len ? text.data : "";
    struct reader reader = {.begin = begin, .at = begin, .end = begin + text.len};
    json_t *value = read_text(&reader);

    free(reader.scratch);
    if (value)
        return value;
    if (!reader.refusal)
        (void)fail(err, ERR_MEMORY, "no memory for the JSON value in %zu bytes", text.len);
    else if (reader.refusal == too_deep)
        (void)fail(err, ERR_LIMIT, "more than %d levels of arrays and objects at byte %zu", LIMIT_JSON_DEPTH,
                   (size_t)(reader.at - reader.begin));
    else
        (void)fail(err, ERR_PARSE, "not JSON at byte %zu: %s", (size_t)(reader.at - reader.begin), reader.refusal);
    return NULL;
}
