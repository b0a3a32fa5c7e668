#include "rpc/schema_value.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc/schema_number.h"
#include "rpc/schema_place.h"

enum { UNIQUE_PAIRWISE = 8, STEP_BYTES = 256, BRIEF_STRING = 40 };

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t pair[2] = {a, b};

    return hash_u64((struct span){(const char *)pair, sizeof(pair)});
}

static bool equals(const json_t *a, const json_t *b, unsigned depth, struct effort *effort);

static bool objects_equal(const json_t *a, const json_t *b, unsigned depth, struct effort *effort) {
    if (json_object_size(a) != json_object_size(b))
        return false;
    for (void *at = json_object_iter((json_t *)a); at; at = json_object_iter_next((json_t *)a, at)) {
        const json_t *other = json_object_getn(b, json_object_iter_key(at), json_object_iter_key_len(at));
        if (!other || !equals(json_object_iter_value(at), other, depth + 1, effort))
            return false;
    }
    return true;
}

static bool arrays_equal(const json_t *a, const json_t *b, unsigned depth, struct effort *effort) {
    size_t count = json_array_size(a);

    if (count != json_array_size(b))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!equals(json_array_get(a, i), json_array_get(b, i), depth + 1, effort))
            return false;
    return true;
}

static bool equals(const json_t *a, const json_t *b, unsigned depth, struct effort *effort) {
    if (depth > LIMIT_JSON_DEPTH)
        effort_end_too_deep(effort);
    if (!effort_take(effort, 1))
        return false;
    if (json_is_number(a))
        return json_is_number(b) && number_compare(number_of(a), number_of(b)) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    switch (json_typeof(a)) {
    case JSON_OBJECT:
        return objects_equal(a, b, depth, effort);
    case JSON_ARRAY:
        return arrays_equal(a, b, depth, effort);
    case JSON_STRING:
        return effort_take(effort, json_string_length(a) / STEP_BYTES) && span_same(value_string(a), value_string(b));
    default:
        return true; /* true, false and null have nothing but their type */
    }
}

bool value_equals(const json_t *a, const json_t *b, struct effort *effort) {
    return equals(a, b, 0, effort);
}

static uint64_t hash_number(struct number number) {
    uint64_t bits;

    _Static_assert(sizeof(bits) == sizeof(number.real) && sizeof(bits) == sizeof(number.whole), "both are 64 bits");
    memcpy(&bits, number.is_whole ? (void *)&number.whole : (void *)&number.real, sizeof(bits));
    return mix(bits, JSON_REAL);
}

static uint64_t hash(const json_t *value, unsigned depth, struct effort *effort) {
    uint64_t sum = (uint64_t)json_typeof(value);

    if (depth > LIMIT_JSON_DEPTH)
        effort_end_too_deep(effort);
    if (!effort_take(effort, 1))
        return 0;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        for (void *at = json_object_iter((json_t *)value); at; at = json_object_iter_next((json_t *)value, at))
            sum += mix(hash_u64((struct span){json_object_iter_key(at), json_object_iter_key_len(at)}),
                       hash(json_object_iter_value(at), depth + 1, effort)); /* a sum: the order does not matter */
        return sum;
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value); i++)
            sum = mix(sum, hash(json_array_get(value, i), depth + 1, effort));
        return sum;
    case JSON_STRING:
        (void)effort_take(effort, json_string_length(value) / STEP_BYTES);
        return hash_u64(value_string(value));
    case JSON_INTEGER:
    case JSON_REAL:
        return hash_number(number_of(value));
    default:
        return mix(sum, sum);
    }
}

uint64_t value_hash(const json_t *value, struct effort *effort) {
    return hash(value, 0, effort);
}

static int unique_pairwise(const json_t *array, struct effort *effort, size_t ret_pair[static 2]) {
    for (size_t i = 1; i < json_array_size(array); i++)
        for (size_t j = 0; j < i; j++)
            if (value_equals(json_array_get(array, i), json_array_get(array, j), effort)) {
                ret_pair[0] = j;
                ret_pair[1] = i;
                return VALUE_TWICE;
            }
    return 0;
}

struct slot {
    uint64_t hash;
    size_t after; /* position + 1; 0: empty */
};

int value_unique(const json_t *array, struct effort *effort, size_t ret_pair[static 2]) {
    size_t count = json_array_size(array), capacity = 4 * UNIQUE_PAIRWISE;

    if (count <= UNIQUE_PAIRWISE)
        return unique_pairwise(array, effort, ret_pair);
    if (!effort_take(effort, count))
        return 0;
    while (capacity < 2 * count)
        capacity *= 2;
    CLEANUP(free) struct slot *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return -1;
    for (size_t i = 0; i < count && effort->left > 0; i++) {
        uint64_t code = value_hash(json_array_get(array, i), effort);
        size_t at = code & (capacity - 1);
        for (; slots[at].after; at = (at + 1) & (capacity - 1))
            if (slots[at].hash == code &&
                value_equals(json_array_get(array, i), json_array_get(array, slots[at].after - 1), effort)) {
                ret_pair[0] = slots[at].after - 1;
                ret_pair[1] = i;
                return VALUE_TWICE;
            }
        slots[at] = (struct slot){code, i + 1};
    }
    return 0;
}

const char *value_brief(const json_t *value, char text[static VALUE_BRIEF_BYTES]) {
    char string[BRIEF_STRING + 4];

    switch (json_typeof(value)) {
    case JSON_STRING: {
        size_t len = place_printable(string, BRIEF_STRING, json_string_value(value), json_string_length(value));
        (void)snprintf(text, VALUE_BRIEF_BYTES, "\"%.*s\"", (int)len, string);
        return text;
    }
    case JSON_INTEGER:
        (void)snprintf(text, VALUE_BRIEF_BYTES, "%lld", (long long)json_integer_value(value));
        return text;
    case JSON_REAL:
        (void)snprintf(text, VALUE_BRIEF_BYTES, "%.15g", json_real_value(value));
        return text;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return value_kind(value);
    }
}

const char *value_kind(const json_t *value) {
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string", [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a number",    [JSON_TRUE] = "a boolean", [JSON_FALSE] = "a boolean", [JSON_NULL] = "null",
    };

    return kinds[json_typeof(value)];
}
