#include "rpc/schema_keyword.h"

#include <ctype.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "rpc/schema_effort.h"
#include "rpc/schema_number.h"
#include "rpc/schema_value.h"

enum { NAME_BYTES = 32, UNIQUE_NAMES_EFFORT = 1 << 24 };

static const struct keyword keywords[] = {
    {"$anchor", FORM_ANCHOR, VOCABULARY_CORE, KEYWORD_ANCHOR},
    {"$comment", FORM_STRING, VOCABULARY_CORE, KEYWORD_ANNOTATION},
    {"$defs", FORM_SCHEMA_MAP, VOCABULARY_CORE, KEYWORD_DEFS},
    {"$dynamicAnchor", FORM_ANCHOR, VOCABULARY_CORE, KEYWORD_DYNAMIC_ANCHOR},
    {"$dynamicRef", FORM_URI, VOCABULARY_CORE, KEYWORD_DYNAMIC_REF},
    {"$id", FORM_ID, VOCABULARY_CORE, KEYWORD_ID},
    {"$ref", FORM_URI, VOCABULARY_CORE, KEYWORD_REF},
    {"$schema", FORM_URI, VOCABULARY_CORE, KEYWORD_SCHEMA},
    {"$vocabulary", FORM_SWITCHES, VOCABULARY_CORE, KEYWORD_ANNOTATION},
    {"additionalProperties", FORM_SCHEMA, VOCABULARY_APPLICATOR, KEYWORD_ADDITIONAL_PROPERTIES},
    {"allOf", FORM_SCHEMAS, VOCABULARY_APPLICATOR, KEYWORD_ALL_OF},
    {"anyOf", FORM_SCHEMAS, VOCABULARY_APPLICATOR, KEYWORD_ANY_OF},
    {"const", FORM_ANY, VOCABULARY_VALIDATION, KEYWORD_CONST},
    {"contains", FORM_SCHEMA, VOCABULARY_APPLICATOR, KEYWORD_CONTAINS},
    {"contentEncoding", FORM_STRING, VOCABULARY_CONTENT, KEYWORD_ANNOTATION},
    {"contentMediaType", FORM_STRING, VOCABULARY_CONTENT, KEYWORD_ANNOTATION},
    {"contentSchema", FORM_SCHEMA, VOCABULARY_CONTENT, KEYWORD_ANNOTATION},
    {"default", FORM_ANY, VOCABULARY_META_DATA, KEYWORD_ANNOTATION},
    {"definitions", FORM_SCHEMA_MAP, VOCABULARY_CORE, KEYWORD_DEFS},
    {"dependentRequired", FORM_NAMES_MAP, VOCABULARY_VALIDATION, KEYWORD_DEPENDENT_REQUIRED},
    {"dependentSchemas", FORM_SCHEMA_MAP, VOCABULARY_APPLICATOR, KEYWORD_DEPENDENT_SCHEMAS},
    {"deprecated", FORM_BOOLEAN, VOCABULARY_META_DATA, KEYWORD_ANNOTATION},
    {"description", FORM_STRING, VOCABULARY_META_DATA, KEYWORD_ANNOTATION},
    {"else", FORM_SCHEMA, VOCABULARY_APPLICATOR, KEYWORD_ELSE},
    {"enum", FORM_ARRAY, VOCABULARY_VALIDATION, KEYWORD_ENUM},
    {"examples", FORM_ARRAY, VOCABULARY_META_DATA, KEYWORD_ANNOTATION},
    {"exclusiveMaximum", FORM_NUMBER, VOCABULARY_VALIDATION, KEYWORD_EXCLUSIVE_MAXIMUM},
    {"exclusiveMinimum", FORM_NUMBER, VOCABULARY_VALIDATION, KEYWORD_EXCLUSIVE_MINIMUM},
    {"format", FORM_STRING, VOCABULARY_FORMAT, KEYWORD_ANNOTATION},
    {"if", FORM_SCHEMA, VOCABULARY_APPLICATOR, KEYWORD_IF},
    {"items", FORM_SCHEMA, VOCABULARY_APPLICATOR, KEYWORD_ITEMS},
    {"maxContains", FORM_COUNT, VOCABULARY_VALIDATION, KEYWORD_MAX_CONTAINS},
    {"maxItems", FORM_COUNT, VOCABULARY_VALIDATION, KEYWORD_MAX_ITEMS},
    {"maxLength", FORM_COUNT, VOCABULARY_VALIDATION, KEYWORD_MAX_LENGTH},
    {"maxProperties", FORM_COUNT, VOCABULARY_VALIDATION, KEYWORD_MAX_PROPERTIES},
    {"maximum", FORM_NUMBER, VOCABULARY_VALIDATION, KEYWORD_MAXIMUM},
    {"minContains", FORM_COUNT, VOCABULARY_VALIDATION, KEYWORD_MIN_CONTAINS},
    {"minItems", FORM_COUNT, VOCABULARY_VALIDATION, KEYWORD_MIN_ITEMS},
    {"minLength", FORM_COUNT, VOCABULARY_VALIDATION, KEYWORD_MIN_LENGTH},
    {"minProperties", FORM_COUNT, VOCABULARY_VALIDATION, KEYWORD_MIN_PROPERTIES},
    {"minimum", FORM_NUMBER, VOCABULARY_VALIDATION, KEYWORD_MINIMUM},
    {"multipleOf", FORM_POSITIVE, VOCABULARY_VALIDATION, KEYWORD_MULTIPLE_OF},
    {"not", FORM_SCHEMA, VOCABULARY_APPLICATOR, KEYWORD_NOT},
    {"oneOf", FORM_SCHEMAS, VOCABULARY_APPLICATOR, KEYWORD_ONE_OF},
    {"pattern", FORM_STRING, VOCABULARY_VALIDATION, KEYWORD_PATTERN},
    {"patternProperties", FORM_SCHEMA_MAP, VOCABULARY_APPLICATOR, KEYWORD_PATTERN_PROPERTIES},
    {"prefixItems", FORM_SCHEMAS, VOCABULARY_APPLICATOR, KEYWORD_PREFIX_ITEMS},
    {"properties", FORM_SCHEMA_MAP, VOCABULARY_APPLICATOR, KEYWORD_PROPERTIES},
    {"propertyNames", FORM_SCHEMA, VOCABULARY_APPLICATOR, KEYWORD_PROPERTY_NAMES},
    {"readOnly", FORM_BOOLEAN, VOCABULARY_META_DATA, KEYWORD_ANNOTATION},
    {"required", FORM_NAMES, VOCABULARY_VALIDATION, KEYWORD_REQUIRED},
    {"then", FORM_SCHEMA, VOCABULARY_APPLICATOR, KEYWORD_THEN},
    {"title", FORM_STRING, VOCABULARY_META_DATA, KEYWORD_ANNOTATION},
    {"type", FORM_TYPE, VOCABULARY_VALIDATION, KEYWORD_TYPE},
    {"unevaluatedItems", FORM_SCHEMA, VOCABULARY_UNEVALUATED, KEYWORD_UNEVALUATED_ITEMS},
    {"unevaluatedProperties", FORM_SCHEMA, VOCABULARY_UNEVALUATED, KEYWORD_UNEVALUATED_PROPERTIES},
    {"uniqueItems", FORM_BOOLEAN, VOCABULARY_VALIDATION, KEYWORD_UNIQUE_ITEMS},
    {"writeOnly", FORM_BOOLEAN, VOCABULARY_META_DATA, KEYWORD_ANNOTATION},
};

static const struct keyword extension = {"x-", FORM_ANY, VOCABULARY_CORE, KEYWORD_ANNOTATION};

/* Words of other drafts and of OpenAPI, and what says the same here. */
static const struct {
    const char *name, *instead;
} foreign[] = {
    {"$recursiveAnchor", "$dynamicAnchor"},
    {"$recursiveRef", "$dynamicRef"},
    {"additionalItems", "items"},
    {"dependencies", "dependentRequired"},
    {"divisibleBy", "multipleOf"},
    {"example", "examples"},
    {"id", "$id"},
    {"nullable", "type"},
};

const struct keyword *keyword_find(const char *name) {
    size_t low = 0, high = ARRAY_SIZE(keywords);

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, keywords[middle].name);
        if (order == 0)
            return &keywords[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return strncmp(name, extension.name, strlen(extension.name)) == 0 ? &extension : NULL;
}

/* How many letters must be put in, left out or replaced; case counts for nothing. Both are below NAME_BYTES. */
static unsigned distance(const char *a, const char *b) {
    unsigned row[NAME_BYTES + 1];
    size_t len = strlen(b);

    for (size_t j = 0; j <= len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= len; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            unsigned best = diagonal + !same;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[len];
}

const char *keyword_suggest(const char *name) {
    const char *nearest = NULL;
    size_t len = strlen(name);
    unsigned best = len < 4 ? 2 : len < 8 ? 3 : 4; /* as far away is too far */

    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
        if (strcmp(name, foreign[i].name) == 0)
            return foreign[i].instead;
    if (len >= NAME_BYTES)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(keywords); i++) {
        unsigned far = distance(name, keywords[i].name);
        if (far < best) {
            best = far;
            nearest = keywords[i].name;
        }
    }
    return nearest;
}

unsigned keyword_type_bit(const char *name) {
    static const struct {
        const char *name;
        unsigned bit;
    } types[] = {
        {"array", TYPE_ARRAY},   {"boolean", TYPE_BOOLEAN}, {"integer", TYPE_INTEGER}, {"null", TYPE_NULL},
        {"number", TYPE_NUMBER}, {"object", TYPE_OBJECT},   {"string", TYPE_STRING},
    };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(name, types[i].name) == 0)
            return types[i].bit;
    return 0;
}

static bool is_names(const json_t *word) {
    struct effort effort = {.left = UNIQUE_NAMES_EFFORT};
    size_t pair[2];

    for (size_t i = 0; i < json_array_size(word); i++)
        if (!json_is_string(json_array_get(word, i)))
            return false;
    return json_is_array(word) && value_unique(word, &effort, pair) == 0 && effort.left > 0;
}

static bool is_type(const json_t *word) {
    if (json_is_string(word))
        return keyword_type_bit(json_string_value(word)) != 0;
    if (!is_names(word) || json_array_size(word) == 0)
        return false;
    for (size_t i = 0; i < json_array_size(word); i++)
        if (keyword_type_bit(json_string_value(json_array_get(word, i))) == 0)
            return false;
    return true;
}

static bool is_map_of(const json_t *word, bool (*is_good)(const json_t *value)) {
    if (!json_is_object(word))
        return false;
    for (void *at = json_object_iter((json_t *)word); at; at = json_object_iter_next((json_t *)word, at))
        if (!is_good(json_object_iter_value(at)))
            return false;
    return true;
}

static bool is_switch(const json_t *word) {
    return json_is_boolean(word);
}

static bool is_uri(const json_t *word) {
    return json_is_string(word) && strlen(json_string_value(word)) == json_string_length(word);
}

/* A URI reference without a fragment; an empty one is tolerated, as the older drafts' own $id has it. */
static bool is_id(const json_t *word) {
    const char *hash = is_uri(word) ? strchr(json_string_value(word), '#') : NULL;

    return is_uri(word) && (!hash || hash[1] == '\0');
}

static bool is_anchor(const json_t *word) {
    const char *text = json_string_value(word);

    if (!text || !(isalpha((unsigned char)text[0]) || text[0] == '_'))
        return false;
    for (size_t i = 0; i < json_string_length(word); i++)
        if (!isalnum((unsigned char)text[i]) && (!text[i] || !strchr("_-.", text[i])))
            return false;
    return true;
}

const char *keyword_misfit(const struct keyword *keyword, const json_t *word) {
    size_t count;

    switch (keyword->form) {
    case FORM_STRING:
        return json_is_string(word) ? NULL : "a string";
    case FORM_BOOLEAN:
        return json_is_boolean(word) ? NULL : "true or false";
    case FORM_ARRAY:
        return json_is_array(word) ? NULL : "an array";
    case FORM_COUNT:
        return number_to_count(word, &count) ? NULL : "an integer from 0 on";
    case FORM_NUMBER:
        return json_is_number(word) ? NULL : "a number";
    case FORM_POSITIVE:
        return json_is_number(word) && json_number_value(word) > 0 ? NULL : "a number above 0";
    case FORM_TYPE:
        return is_type(word) ? NULL
                             : "array, boolean, integer, null, number, object, string, or an array of some of these";
    case FORM_NAMES:
        return is_names(word) ? NULL : "an array of different strings";
    case FORM_NAMES_MAP:
        return is_map_of(word, is_names) ? NULL : "an object of arrays of different strings";
    case FORM_SWITCHES:
        return is_map_of(word, is_switch) ? NULL : "an object of booleans";
    case FORM_URI:
        return is_uri(word) ? NULL : "a URI reference";
    case FORM_ID:
        return is_id(word) ? NULL : "a URI reference without a fragment ($anchor names a place)";
    case FORM_ANCHOR:
        return is_anchor(word) ? NULL : "a name of letters, digits, '_', '-' and '.'";
    case FORM_SCHEMAS:
        return json_array_size(word) > 0 ? NULL : "a non-empty array of schemas";
    case FORM_SCHEMA_MAP:
        return json_is_object(word) ? NULL : "an object of schemas";
    case FORM_SCHEMA:
        if (json_is_object(word) || json_is_boolean(word))
            return NULL;
        return keyword->id == KEYWORD_ITEMS && json_is_array(word) ? "a schema (a list of schemas is prefixItems)"
                                                                   : "a schema, that is an object or a boolean";
    case FORM_ANY:
        break;
    }
    return NULL;
}

static int visit_list(const json_t *word, const struct place *place, keyword_visit_fn *visit, void *arg) {
    for (size_t i = 0; i < json_array_size(word); i++) {
        int r = visit(arg, json_array_get(word, i), &(struct place){.up = place, .index = i});
        if (r != 0)
            return r;
    }
    return 0;
}

static int visit_map(const json_t *word, const struct place *place, keyword_visit_fn *visit, void *arg) {
    for (void *at = json_object_iter((json_t *)word); at; at = json_object_iter_next((json_t *)word, at)) {
        struct place inner = {.up = place, .key = json_object_iter_key(at), .key_len = json_object_iter_key_len(at)};
        int r = visit(arg, json_object_iter_value(at), &inner);
        if (r != 0)
            return r;
    }
    return 0;
}

int keyword_visit(const struct keyword *keyword, const json_t *word, const struct place *place, keyword_visit_fn *visit,
                  void *arg) {
    struct place inner = {.up = place, .key = keyword->name, .key_len = strlen(keyword->name)};

    switch (keyword->form) {
    case FORM_SCHEMA:
        return visit(arg, word, &inner);
    case FORM_SCHEMAS:
        return visit_list(word, &inner, visit, arg);
    case FORM_SCHEMA_MAP:
        return visit_map(word, &inner, visit, arg);
    default:
        return 0;
    }
}
