/*
 * jansson looks for circles in what it writes, with a table of all that it is inside of, and asks of every character
 * what it is. Here there is no circle, for values come from a parser or are built from new ones, and their strings are
 * UTF-8 already.
 */
#include "dump.h"

#include <stdint.h>
#include <string.h>

static void add_escaped(struct text *into, unsigned char c) {
    switch (c) {
    case '\n':
        text_add(into, "\\n", 2);
        break;
    case '\r':
        text_add(into, "\\r", 2);
        break;
    case '\t':
        text_add(into, "\\t", 2);
        break;
    case '"':
    case '\\':
        text_print(into, "\\%c", c);
        break;
    default:
        text_print(into, "\\u%04x", c);
    }
}

static size_t plain_len(const char *bytes, size_t len) {
    size_t at = 0;

    while (at < len && (unsigned char)bytes[at] >= 0x20 && bytes[at] != '"' && bytes[at] != '\\')
        at++;
    return at;
}

static void add_string(struct text *into, const char *bytes, size_t len) {
    text_add(into, "\"", 1);
    for (size_t at = 0; at < len; at++) {
        size_t plain = plain_len(bytes + at, len - at);
        text_add(into, bytes + at, plain);
        at += plain;
        if (at < len)
            add_escaped(into, (unsigned char)bytes[at]);
    }
    text_add(into, "\"", 1);
}

static void add_object(struct text *into, json_t *object) {
    const char *key;
    json_t *value;
    bool is_first = true;

    text_add(into, "{", 1);
    json_object_foreach (object, key, value) {
        text_add(into, ",", !is_first);
        is_first = false;
        add_string(into, key, strlen(key));
        text_add(into, ":", 1);
        dump_json(into, value);
    }
    text_add(into, "}", 1);
}

static void add_array(struct text *into, const json_t *array) {
    size_t i;
    const json_t *item;

    text_add(into, "[", 1);
    json_array_foreach (array, i, item) {
        text_add(into, ",", i > 0);
        dump_json(into, item);
    }
    text_add(into, "]", 1);
}

static int add_bytes(const char *bytes, size_t len, void *into) {
    text_add(into, bytes, len);
    return 0;
}

void dump_json(struct text *into, const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_STRING:
        add_string(into, json_string_value(value), json_string_length(value));
        break;
    case JSON_OBJECT:
        add_object(into, (json_t *)(uintptr_t)value);
        break;
    case JSON_ARRAY:
        add_array(into, value);
        break;
    default:
        if (json_dump_callback(value, add_bytes, into, JSON_ENCODE_ANY) < 0)
            into->failed = true;
    }
}
