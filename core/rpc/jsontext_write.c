/*
 * Writing JSON.
 *
 * The form is that of json_dumps() with JSON_COMPACT and JSON_ENCODE_ANY, byte for byte, so that what is written here
 * and what a plugin wrote with jansson compare equal. Every array and object on the way knows the one around it: a
 * value that contains itself is found, as jansson finds it, and so is one that is too deep.
 */
#include "rpc/jsontext.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/jsontext_scan.h"

struct writer {
    struct buf *out;
    bool sorted;
    struct theseus_error *err;
};

struct level {
    const json_t *value;       /* an array or object that is being written */
    const struct level *above; /* what contains it; NULL for the outermost */
    int depth;                 /* 1 for the outermost */
};

struct member {
    const char *key; /* borrowed from the object, as is the value */
    size_t key_len;
    const json_t *value;
};

enum {
    ESCAPE_BYTES = 6, /* \u001F */
    INTEGER_BYTES = 20,
    REAL_BYTES = 40, /* sign, 17 digits, point, exponent, ".0", and a point of several bytes */
};

static int write_value(struct writer *writer, const json_t *value, const struct level *level);

static int put(struct writer *writer, const char *text) {
    return buf_append(writer->out, span_of(text), writer->err);
}

/* ---- strings ---- */

static char *put_escape(char *to, unsigned char c) {
    static const char letters[] = "\"\\\b\f\n\r\t";
    static const char escapes[] = "\"\\bfnrt";
    static const char digits[] = "0123456789ABCDEF";
    const char *letter = memchr(letters, c, sizeof(letters) - 1);

    *to++ = '\\';
    if (letter) {
        *to++ = escapes[letter - letters];
        return to;
    }
    memcpy(to, "u00", 3);
    to[3] = digits[c >> 4];
    to[4] = digits[c & 15];
    return to + 5;
}

/* Plain stretches are copied whole; each ends at an escape or at the end, for which there is room as well. */
static int write_contents(struct span text, struct buf *out, struct theseus_error *err) {
    const char *begin = text.len ? text.data : "";
    const char *at = begin;
    const char *end = begin + text.len;

    for (;;) {
        const char *stop = jsontext_skip_plain(at, end);
        size_t len = (size_t)(stop - at);
        char *to = buf_reserve(out, len + ESCAPE_BYTES);
        if (!to)
            return fail(err, ERR_MEMORY, "no memory for a string of %zu bytes", text.len);
        memcpy(to, at, len);
        if (stop == end) {
            to[len] = '"';
            buf_added(out, len + 1);
            return 0;
        }
        if ((unsigned char)*stop >= 0x80)
            return fail(err, ERR_INVALID, "a string is not UTF-8 at its byte %zu", (size_t)(stop - begin));
        buf_added(out, (size_t)(put_escape(to + len, (unsigned char)*stop) - to));
        at = stop + 1;
    }
}

int jsontext_write_string(struct span text, struct buf *out, struct theseus_error *err) {
    size_t before = out->len;

    if (buf_append(out, span_of("\""), err) == 0 && write_contents(text, out, err) == 0)
        return 0;
    out->len = before;
    return -1;
}

/* ---- numbers ---- */

static int write_integer(struct writer *writer, int64_t value) {
    char text[INTEGER_BYTES];
    char *at = text + sizeof(text);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    return buf_append(writer->out, (struct span){at, (size_t)(text + sizeof(text) - at)}, writer->err);
}

/* With as few digits as it takes to read the same number back: 0.1, not 0.10000000000000001. */
static void print_shortest(double value, char printed[static REAL_BYTES]) {
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(printed, REAL_BYTES, "%.*g", digits, value);
        if (strtod(printed, NULL) == value)
            return;
    }
}

/*
 * What printf() makes of it, changed to what jansson would write: whatever the locale has for a point (it can be
 * several bytes) becomes '.', the exponent loses its plus and its zeros in front, and without point and exponent ".0"
 * says that this is no integer.
 */
static int write_real(struct writer *writer, double value) {
    char printed[REAL_BYTES];
    char text[REAL_BYTES];
    char *to = text;
    bool real = false;

    print_shortest(value, printed);
    for (const char *at = printed; *at; at++) {
        if ((*at >= '0' && *at <= '9') || *at == '-') {
            *to++ = *at;
        } else if (*at == 'e') {
            *to++ = *at++;
            if (*at == '-')
                *to++ = '-';
            at += strspn(at, "+-0") - 1;
            real = true;
        } else if (!real) {
            *to++ = '.';
            real = true;
        }
    }
    *to = '\0';
    return put(writer, text) < 0 || (!real && put(writer, ".0") < 0) ? -1 : 0;
}

/* ---- arrays and objects ---- */

static int write_array(struct writer *writer, const struct level *level) {
    size_t count = json_array_size(level->value);

    if (put(writer, "[") < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if ((i > 0 && put(writer, ",") < 0) || write_value(writer, json_array_get(level->value, i), level) < 0)
            return -1;
    return put(writer, "]");
}

static int write_member(struct writer *writer, struct member member, bool first, const struct level *level) {
    if (put(writer, first ? "\"" : ",\"") < 0)
        return -1;
    if (write_contents((struct span){member.key, member.key_len}, writer->out, writer->err) < 0)
        return -1;
    return put(writer, ":") < 0 ? -1 : write_value(writer, member.value, level);
}

static struct member member_at(void *iterator) {
    return (struct member){json_object_iter_key(iterator), json_object_iter_key_len(iterator),
                           json_object_iter_value(iterator)};
}

static int write_members(struct writer *writer, json_t *object, const struct level *level) {
    void *first = json_object_iter(object);

    for (void *iterator = first; iterator; iterator = json_object_iter_next(object, iterator))
        if (write_member(writer, member_at(iterator), iterator == first, level) < 0)
            return -1;
    return 0;
}

static int compare_keys(const void *left, const void *right) {
    const struct member *a = left;
    const struct member *b = right;
    int order = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);

    return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static int write_members_sorted(struct writer *writer, json_t *object, const struct level *level) {
    size_t count = json_object_size(object);
    CLEANUP(free) struct member *members = try_malloc(count * sizeof(*members));
    size_t n = 0;

    if (!members)
        return fail(writer->err, ERR_MEMORY, "no memory to sort %zu keys", count);
    for (void *iterator = json_object_iter(object); iterator; iterator = json_object_iter_next(object, iterator))
        members[n++] = member_at(iterator);
    qsort(members, n, sizeof(*members), compare_keys);
    for (size_t i = 0; i < n; i++)
        if (write_member(writer, members[i], i == 0, level) < 0)
            return -1;
    return 0;
}

/* jansson's iterators take no const; nothing is changed through them. */
static int write_object(struct writer *writer, const struct level *level) {
    json_t *object = (json_t *)level->value;

    if (put(writer, "{") < 0)
        return -1;
    if ((writer->sorted ? write_members_sorted : write_members)(writer, object, level) < 0)
        return -1;
    return put(writer, "}");
}

static int write_nested(struct writer *writer, const json_t *value, const struct level *above) {
    struct level level = {value, above, above ? above->depth + 1 : 1};

    for (; above; above = above->above)
        if (above->value == value)
            return fail(writer->err, ERR_INVALID, "a JSON value contains itself");
    return json_is_array(value) ? write_array(writer, &level) : write_object(writer, &level);
}

static int write_value(struct writer *writer, const json_t *value, const struct level *level) {
    if (!value)
        return fail(writer->err, ERR_INVALID, "there is no JSON value to write");
    if (level && level->depth == JSONTEXT_WRITE_DEPTH)
        return fail(writer->err, ERR_LIMIT, "a JSON value has more than %d levels", JSONTEXT_WRITE_DEPTH);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return write_nested(writer, value, level);
    case JSON_STRING:
        if (put(writer, "\"") < 0)
            return -1;
        return write_contents((struct span){json_string_value(value), json_string_length(value)}, writer->out,
                              writer->err);
    case JSON_INTEGER:
        return write_integer(writer, json_integer_value(value));
    case JSON_REAL:
        return write_real(writer, json_real_value(value));
    case JSON_TRUE:
        return put(writer, "true");
    case JSON_FALSE:
        return put(writer, "false");
    case JSON_NULL:
        return put(writer, "null");
    }
    return fail(writer->err, ERR_INVALID, "a JSON value of no known type");
}

static int write_all(struct writer *writer, const json_t *value) {
    size_t before = writer->out->len;

    if (write_value(writer, value, NULL) == 0)
        return 0;
    writer->out->len = before;
    return -1;
}

int jsontext_write(const json_t *value, struct buf *out, struct theseus_error *err) {
    return write_all(&(struct writer){out, false, err}, value);
}

int jsontext_write_sorted(const json_t *value, struct buf *out, struct theseus_error *err) {
    return write_all(&(struct writer){out, true, err}, value);
}
