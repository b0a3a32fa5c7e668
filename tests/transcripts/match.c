#include "match.h"

#include <stdlib.h>
#include <string.h>

#include "script.h"

static bool matches(const json_t *pattern, const json_t *value, json_t *names);

static bool matches_kind(const char *kind, const json_t *value, bool *ret_is_kind) {
    *ret_is_kind = true;
    if (strcmp(kind, "any") == 0)
        return true;
    if (strcmp(kind, "string") == 0)
        return json_is_string(value);
    if (strcmp(kind, "number") == 0)
        return json_is_number(value);
    if (strcmp(kind, "integer") == 0)
        return json_is_integer(value);
    if (strcmp(kind, "bool") == 0)
        return json_is_boolean(value);
    if (strcmp(kind, "object") == 0)
        return json_is_object(value);
    if (strcmp(kind, "array") == 0)
        return json_is_array(value);
    *ret_is_kind = false;
    return false;
}

/* What a value is remembered as: the JSON text of it. */
static bool matches_name(const char *name, const json_t *value, json_t *names) {
    CLEANUP(free) char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    const char *known = json_string_value(json_object_get(names, name));

    if (known)
        return text && strcmp(known, text) == 0;
    return text && json_object_set_new(names, name, json_string(text)) == 0;
}

static const char *behind_colon(const char *text, const char *word) {
    size_t len = strlen(word);

    return strncmp(text, word, len) == 0 && text[len] == ':' ? text + len + 1 : NULL;
}

static bool matches_placeholder(const char *word, const json_t *value, json_t *names) {
    const char *text = json_string_value(value), *argument;
    bool is_kind;
    bool kind_matches = matches_kind(word, value, &is_kind);

    if (is_kind)
        return kind_matches;
    if ((argument = behind_colon(word, "id")))
        return matches_name(argument, value, names);
    if ((argument = behind_colon(word, "contains")))
        return text && strstr(text, argument);
    if ((argument = behind_colon(word, "lacks")))
        return text && !strstr(text, argument);
    if ((argument = behind_colon(word, "longer")))
        return text && json_string_length(value) > strtoul(argument, NULL, 10);
    return false;
}

static bool matches_object(const json_t *pattern, const json_t *value, json_t *names) {
    bool open = json_object_get(pattern, "...") != NULL;
    size_t wanted = json_object_size(pattern) - (open ? 1 : 0);
    const char *key;
    json_t *member;

    if (!json_is_object(value) || (!open && json_object_size(value) != wanted))
        return false;
    json_object_foreach ((json_t *)pattern, key, member) {
        const json_t *there = json_object_get(value, key);
        if (strcmp(key, "...") != 0 && (!there || !matches(member, there, names)))
            return false;
    }
    return true;
}

static bool matches_array(const json_t *pattern, const json_t *value, json_t *names) {
    size_t wanted = json_array_size(pattern);
    const char *last = json_string_value(json_array_get(pattern, wanted - 1));
    bool open = last && strcmp(last, "...") == 0;

    wanted -= open ? 1 : 0;
    if (!json_is_array(value) || json_array_size(value) < wanted || (!open && json_array_size(value) > wanted))
        return false;
    for (size_t i = 0; i < wanted; i++)
        if (!matches(json_array_get(pattern, i), json_array_get(value, i), names))
            return false;
    return true;
}

static bool matches(const json_t *pattern, const json_t *value, json_t *names) {
    const char *text = json_string_value(pattern);

    if (text && *text == '$')
        return matches_placeholder(text + 1, value, names);
    if (json_is_object(pattern))
        return matches_object(pattern, value, names);
    if (json_is_array(pattern))
        return matches_array(pattern, value, names);
    if (json_is_integer(pattern) && json_is_integer(value))
        return json_integer_value(pattern) == json_integer_value(value);
    if (json_is_number(pattern) && json_is_number(value))
        return json_number_value(pattern) == json_number_value(value);
    return json_equal(pattern, value);
}

bool match(const json_t *pattern, const json_t *value, json_t *names) {
    json_auto_t *tried = json_copy(names);

    return tried && matches(pattern, value, tried) && json_object_update(names, tried) == 0;
}
