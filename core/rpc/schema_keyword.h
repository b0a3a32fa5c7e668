/* The keywords of JSON Schema as data: which there are, the form that each one's value must have, where schemas are
 * inside it, and which vocabulary it belongs to. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"
#include "rpc/schema_place.h"

enum keyword_id {
    KEYWORD_ANNOTATION, /* checked for its form only */
    KEYWORD_ID,
    KEYWORD_ANCHOR,
    KEYWORD_DYNAMIC_ANCHOR,
    KEYWORD_SCHEMA,
    KEYWORD_REF,
    KEYWORD_DYNAMIC_REF,
    KEYWORD_DEFS,
    KEYWORD_TYPE,
    KEYWORD_ENUM,
    KEYWORD_CONST,
    KEYWORD_MULTIPLE_OF,
    KEYWORD_MINIMUM,
    KEYWORD_MAXIMUM,
    KEYWORD_EXCLUSIVE_MINIMUM,
    KEYWORD_EXCLUSIVE_MAXIMUM,
    KEYWORD_MIN_LENGTH,
    KEYWORD_MAX_LENGTH,
    KEYWORD_PATTERN,
    KEYWORD_MIN_ITEMS,
    KEYWORD_MAX_ITEMS,
    KEYWORD_UNIQUE_ITEMS,
    KEYWORD_PREFIX_ITEMS,
    KEYWORD_ITEMS,
    KEYWORD_CONTAINS,
    KEYWORD_MIN_CONTAINS,
    KEYWORD_MAX_CONTAINS,
    KEYWORD_UNEVALUATED_ITEMS,
    KEYWORD_MIN_PROPERTIES,
    KEYWORD_MAX_PROPERTIES,
    KEYWORD_REQUIRED,
    KEYWORD_PROPERTIES,
    KEYWORD_PATTERN_PROPERTIES,
    KEYWORD_ADDITIONAL_PROPERTIES,
    KEYWORD_PROPERTY_NAMES,
    KEYWORD_DEPENDENT_REQUIRED,
    KEYWORD_DEPENDENT_SCHEMAS,
    KEYWORD_UNEVALUATED_PROPERTIES,
    KEYWORD_ALL_OF,
    KEYWORD_ANY_OF,
    KEYWORD_ONE_OF,
    KEYWORD_NOT,
    KEYWORD_IF,
    KEYWORD_THEN,
    KEYWORD_ELSE,
    KEYWORD_COUNT,
};

enum keyword_form {
    FORM_ANY,
    FORM_STRING,
    FORM_BOOLEAN,
    FORM_ARRAY,
    FORM_COUNT, /* an integer from 0 on */
    FORM_NUMBER,
    FORM_POSITIVE, /* a number above 0 */
    FORM_TYPE,
    FORM_NAMES,     /* an array of different strings */
    FORM_NAMES_MAP, /* an object of such arrays */
    FORM_SWITCHES,  /* an object of booleans */
    FORM_URI,       /* a URI reference */
    FORM_ID,        /* one without a fragment */
    FORM_ANCHOR,
    FORM_SCHEMA,
    FORM_SCHEMAS, /* a non-empty array of schemas */
    FORM_SCHEMA_MAP,
};

enum {
    VOCABULARY_CORE = 1 << 0,
    VOCABULARY_APPLICATOR = 1 << 1,
    VOCABULARY_UNEVALUATED = 1 << 2,
    VOCABULARY_VALIDATION = 1 << 3,
    VOCABULARY_META_DATA = 1 << 4,
    VOCABULARY_FORMAT = 1 << 5,
    VOCABULARY_CONTENT = 1 << 6,
    VOCABULARY_ALL = (1 << 7) - 1,
};

/* The types that a value can have, as bits; an integer is a number as well. */
enum {
    TYPE_NULL = 1 << 0,
    TYPE_BOOLEAN = 1 << 1,
    TYPE_OBJECT = 1 << 2,
    TYPE_ARRAY = 1 << 3,
    TYPE_NUMBER = 1 << 4,
    TYPE_STRING = 1 << 5,
    TYPE_INTEGER = 1 << 6,
};

struct keyword {
    const char *name;
    enum keyword_form form;
    unsigned vocabulary;
    enum keyword_id id;
};

const struct keyword *keyword_find(const char *name); /* NULL: not a keyword that we know; "x-…" is an annotation */

/* The known keyword that the author most likely meant; NULL: none is near. */
const char *keyword_suggest(const char *name);

/* NULL, or what the value must be ("a string"). Schemas inside it are the caller's business. */
const char *keyword_misfit(const struct keyword *keyword, const json_t *word);

/* Calls `visit` for every schema inside the value, which has the right form, until one returns something but 0. */
typedef int keyword_visit_fn(void *arg, const json_t *schema, const struct place *place);
MUST_CHECK int keyword_visit(const struct keyword *keyword, const json_t *word, const struct place *place,
                             keyword_visit_fn *visit, void *arg);

unsigned keyword_type_bit(const char *name); /* 0: there is no such type */
