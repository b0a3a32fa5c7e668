/*
 * The oracle of the JSON reader and writer: jansson's own. Used by the unit tests and by the fuzzer.
 *
 * Three differences are meant: more than LIMIT_JSON_DEPTH levels are refused, and so is every text with a NUL byte; and
 * a real number is written with as few digits as it takes, where jansson always writes 17.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc/jsontext.h"

enum {
    ORACLE_READ = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY,
    ORACLE_WRITE = JSON_COMPACT | JSON_ENCODE_ANY,
};

static inline int json_levels(const json_t *value) {
    int deepest = 0;

    for (void *at = json_object_iter((json_t *)value); at; at = json_object_iter_next((json_t *)value, at)) {
        int levels = json_levels(json_object_iter_value(at));
        deepest = levels > deepest ? levels : deepest;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        int levels = json_levels(json_array_get(value, i));
        deepest = levels > deepest ? levels : deepest;
    }
    return deepest + (json_is_object(value) || json_is_array(value));
}

static inline bool buf_is(const struct buf *buf, const char *text) {
    return text && span_equals(buf_span(buf), text);
}

static inline bool has_reals(const json_t *value) {
    const char *key;
    json_t *member;
    size_t i;

    json_object_foreach ((json_t *)(uintptr_t)value, key, member)
        if (has_reals(member))
            return true;
    json_array_foreach (value, i, member)
        if (has_reals(member))
            return true;
    return json_is_real(value);
}

/* As jansson writes it, with the least precision that keeps the number. Owned. */
static inline char *shortest_real(const json_t *value) {
    for (size_t digits = 15; digits < 17; digits++) {
        CLEANUP(free) char *text = json_dumps(value, ORACLE_WRITE | JSON_REAL_PRECISION(digits));
        json_auto_t *again = json_loads(text, ORACLE_READ, NULL);
        if (json_equal(again, value))
            return TAKE_PTR(text);
    }
    return json_dumps(value, ORACLE_WRITE);
}

static inline bool is_expected(const json_t *value, const struct buf *written, const char *expected) {
    if (json_is_real(value)) {
        CLEANUP(free) char *shortest = shortest_real(value);
        return buf_is(written, shortest);
    }
    return has_reals(value) || buf_is(written, expected);
}

/* What the writer does differently with `value`; NULL: nothing. */
static inline const char *write_difference(const json_t *value) {
    CLEANUP(buf_fini) struct buf written = {0};
    CLEANUP(buf_fini) struct buf sorted = {0};
    CLEANUP(free) char *expected = json_dumps(value, ORACLE_WRITE);
    CLEANUP(free) char *expected_sorted = json_dumps(value, ORACLE_WRITE | JSON_SORT_KEYS);

    if (jsontext_write(value, &written, NULL) < 0 || !is_expected(value, &written, expected))
        return "the written text is another";
    if (jsontext_write_sorted(value, &sorted, NULL) < 0 || !is_expected(value, &sorted, expected_sorted))
        return "the sorted text is another";
    if (memchr(written.data, '\n', written.len))
        return "a line break was written";
    json_auto_t *again = jsontext_read(buf_span(&written), NULL);
    return json_equal(again, value) ? NULL : "what was written reads back as something else";
}

/* What the reader or the writer does differently with `text`; NULL: nothing. */
static inline const char *jsontext_difference(struct span text) {
    struct theseus_error err = {0};
    json_auto_t *expected = json_loadb(text.data, text.len, ORACLE_READ, NULL);
    json_auto_t *value = jsontext_read(text, &err);
    bool too_deep = expected && json_levels(expected) > LIMIT_JSON_DEPTH;

    if (!value && err.code != ERR_PARSE && err.code != ERR_LIMIT)
        return "refused for no reason of the text's";
    if (memchr(text.data, '\0', text.len))
        return value ? "accepted with a NUL byte" : NULL;
    if (too_deep)
        return value || err.code != ERR_LIMIT ? "too deep, and not refused for it" : NULL;
    if (!value != !expected)
        return value ? "accepted, and jansson refuses it" : "refused, and jansson accepts it";
    if (!value)
        return NULL;
    return json_equal(value, expected) ? write_difference(value) : "read as another value";
}
