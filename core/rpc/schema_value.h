/* JSON values compared as JSON Schema wants it (1 equals 1.0), hashed accordingly, and shown in messages. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "base/span.h"
#include "rpc/schema_effort.h"

enum { VALUE_BRIEF_BYTES = 64 };

static inline struct span value_string(const json_t *value) {
    return (struct span){json_string_value(value), json_string_length(value)};
}

/* When the effort ends, the answer is false, 0 or "no", and says nothing. */
bool value_equals(const json_t *a, const json_t *b, struct effort *effort);
uint64_t value_hash(const json_t *value, struct effort *effort);

enum { VALUE_TWICE = 1 };

/* Are all elements different? 0, or VALUE_TWICE with the positions of two equal ones, or <0 when memory is out. */
MUST_CHECK int value_unique(const json_t *array, struct effort *effort, size_t ret_pair[static 2]);

/* Scalars as they are, cut if long; containers in words. Returns `text`. */
const char *value_brief(const json_t *value, char text[static VALUE_BRIEF_BYTES]);

const char *value_kind(const json_t *value); /* "a string", "an object", … */
