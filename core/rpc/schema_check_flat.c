/* The rules that enter no other schema: type, const, enum, and those of numbers and strings. */
#include <stdio.h>
#include <stdlib.h>

#include "rpc/schema_check.h"
#include "rpc/schema_keyword.h"
#include "rpc/schema_value.h"

enum { SHOWN_BYTES = 72, LIST_BYTES = 150, STRING_BYTES_PER_STEP = 256 };

static unsigned type_bits(const json_t *value) {
    static const unsigned char bits[] = {
        [JSON_OBJECT] = TYPE_OBJECT, [JSON_ARRAY] = TYPE_ARRAY,
        [JSON_STRING] = TYPE_STRING, [JSON_REAL] = TYPE_NUMBER,
        [JSON_TRUE] = TYPE_BOOLEAN,  [JSON_FALSE] = TYPE_BOOLEAN,
        [JSON_NULL] = TYPE_NULL,     [JSON_INTEGER] = TYPE_NUMBER | TYPE_INTEGER,
    };

    return bits[json_typeof(value)];
}

static bool has_type(const json_t *value, unsigned types) {
    if (types == 0 || (type_bits(value) & types))
        return true;
    return (types & TYPE_INTEGER) && number_is_integer(value);
}

static int refuse_type(struct check *check, const json_t *value, unsigned types) {
    static const char *const names[] = {"null",     "a boolean", "an object", "an array",
                                        "a number", "a string",  "an integer"};
    char text[LIST_BYTES] = "", brief[VALUE_BRIEF_BYTES];
    size_t used = 0;

    if (check->quiet > 0)
        return check_mismatch(check, RANK_TYPE, "type");
    for (unsigned i = 0; i < 7; i++)
        if (types & 1U << i) {
            bool last = !(types >> (i + 1));
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
                                     used == 0 ? ""
                                     : last    ? " or "
                                               : ", ",
                                     names[i]);
        }
    bool is_fraction = json_is_real(value) && (types & TYPE_INTEGER);
    return check_mismatch(check, RANK_TYPE, "must be %s, is %s", text,
                          is_fraction ? value_brief(value, brief) : value_kind(value));
}

/* A constant of the schema's author as a message shows it. `text` has room for SHOWN_BYTES + 4. */
static size_t show(const json_t *value, char *text) {
    char brief[VALUE_BRIEF_BYTES];

    if (json_is_object(value) || json_is_array(value)) {
        CLEANUP(free) char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
        const char *shown = dump ? dump : value_kind(value);
        return place_printable(text, SHOWN_BYTES, shown, strlen(shown));
    }
    const char *shown = value_brief(value, brief);
    return place_printable(text, SHOWN_BYTES, shown, strlen(shown));
}

static int refuse_constant(struct check *check, const json_t *value, const json_t *constant) {
    char wanted[SHOWN_BYTES + 4], brief[VALUE_BRIEF_BYTES];

    if (check->quiet > 0)
        return check_mismatch(check, RANK_CONSTANT, "const");
    size_t len = show(constant, wanted);
    return check_mismatch(check, RANK_CONSTANT, "must be %.*s, is %s", (int)len, wanted, value_brief(value, brief));
}

static int refuse_choice(struct check *check, const json_t *value, const json_t *choices) {
    char list[LIST_BYTES + 8] = "", shown[SHOWN_BYTES + 4], brief[VALUE_BRIEF_BYTES];
    size_t used = 0;

    if (check->quiet > 0)
        return check_mismatch(check, RANK_CONSTANT, "enum");
    for (size_t i = 0; i < json_array_size(choices); i++) {
        size_t len = show(json_array_get(choices, i), shown);
        if (used + len + 2 >= LIST_BYTES) {
            used += (size_t)snprintf(list + used, sizeof(list) - used, ", \xe2\x80\xa6");
            break;
        }
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%.*s", i ? ", " : "", (int)len, shown);
    }
    return check_mismatch(check, RANK_CONSTANT, "must be one of %s, is %s", list, value_brief(value, brief));
}

static bool is_choice(struct check *check, const struct node *node, const json_t *value) {
    if (node->string_choices && json_is_string(value))
        return map_get(node->string_choices, value_string(value)) != NULL;
    for (size_t i = 0; i < json_array_size(node->choices); i++)
        if (value_equals(json_array_get(node->choices, i), value, &check->effort))
            return true;
    return false;
}

static int refuse_number(struct check *check, const json_t *value, const char *rule, struct number bound) {
    char brief[VALUE_BRIEF_BYTES];

    if (check->quiet > 0)
        return check_mismatch(check, RANK_DETAIL, "number");
    if (bound.is_whole)
        return check_mismatch(check, RANK_DETAIL, "must be %s %lld, is %s", rule, bound.whole,
                              value_brief(value, brief));
    return check_mismatch(check, RANK_DETAIL, "must be %s %.15g, is %s", rule, bound.real, value_brief(value, brief));
}

/* Outside of a range: both of its ends are named, so that the next attempt is right. */
static int refuse_outside(struct check *check, const json_t *value, struct number minimum, struct number maximum) {
    char brief[VALUE_BRIEF_BYTES];

    if (check->quiet > 0)
        return check_mismatch(check, RANK_DETAIL, "number");
    return check_mismatch(check, RANK_DETAIL, "must be from %lld to %lld, is %s", minimum.whole, maximum.whole,
                          value_brief(value, brief));
}

static int check_range(struct check *check, const struct number_rules *rules, const json_t *value,
                       struct number number) {
    bool is_low = rules->has_minimum && number_compare(number, rules->minimum) < 0;
    bool is_high = rules->has_maximum && number_compare(number, rules->maximum) > 0;

    if (!is_low && !is_high)
        return 0;
    if (rules->has_minimum && rules->has_maximum && rules->minimum.is_whole && rules->maximum.is_whole)
        return refuse_outside(check, value, rules->minimum, rules->maximum);
    return is_low ? refuse_number(check, value, "at least", rules->minimum)
                  : refuse_number(check, value, "at most", rules->maximum);
}

static int check_number(struct check *check, const struct number_rules *rules, const json_t *value) {
    struct number number = number_of(value);
    char brief[VALUE_BRIEF_BYTES], step[VALUE_BRIEF_BYTES];

    int r = check_range(check, rules, value, number);

    if (r != 0)
        return r;
    if (rules->has_above && number_compare(number, rules->above) <= 0)
        return refuse_number(check, value, "more than", rules->above);
    if (rules->has_below && number_compare(number, rules->below) >= 0)
        return refuse_number(check, value, "less than", rules->below);
    if (rules->multiple_text && !number_is_multiple(number, rules->multiple))
        return check_mismatch(check, RANK_DETAIL, "must be a multiple of %s, is %s",
                              value_brief(rules->multiple_text, step), value_brief(value, brief));
    return 0;
}

static size_t count_characters(struct span text) {
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80; /* every byte that begins a code point */
    return count;
}

static int check_pattern(struct check *check, const struct string_rules *rules, const json_t *value) {
    char wanted[SHOWN_BYTES + 4], brief[VALUE_BRIEF_BYTES];
    int r = pattern_match(rules->pattern, &check->patterns, value_string(value), &check->found);

    if (r == 0)
        return 0;
    if (r < 0)
        return check_unmatched(check, "pattern");
    if (check->quiet > 0)
        return check_mismatch(check, RANK_DETAIL, "pattern");
    struct span pattern = value_string(rules->pattern_text);
    size_t len = place_printable(wanted, SHOWN_BYTES, pattern.data, pattern.len);
    return check_mismatch(check, RANK_DETAIL, "must match the pattern '%.*s', is %s", (int)len, wanted,
                          value_brief(value, brief));
}

static int check_string(struct check *check, const struct string_rules *rules, const json_t *value) {
    if (rules->min > 0 || rules->max < SIZE_MAX) {
        size_t count = count_characters(value_string(value));
        if (!check_may_go_on(check, json_string_length(value) / STRING_BYTES_PER_STEP))
            return check_stop(check);
        if (count < rules->min)
            return check_mismatch(check, RANK_DETAIL, "must have at least %zu character%s, has %zu", rules->min,
                                  rules->min == 1 ? "" : "s", count);
        if (count > rules->max)
            return check_mismatch(check, RANK_DETAIL, "must have at most %zu character%s, has %zu", rules->max,
                                  rules->max == 1 ? "" : "s", count);
    }
    return rules->pattern ? check_pattern(check, rules, value) : 0;
}

int check_flat(struct check *check, const struct node *node, const json_t *value) {
    if (node->parts & PART_NEVER)
        return check_mismatch(check, RANK_TYPE, "is not allowed");
    if (!has_type(value, node->types))
        return refuse_type(check, value, node->types);
    if (node->constant && !value_equals(node->constant, value, &check->effort))
        return refuse_constant(check, value, node->constant);
    if (node->choices && !is_choice(check, node, value))
        return refuse_choice(check, value, node->choices);
    if (node->number && json_is_number(value))
        return check_number(check, node->number, value);
    if (node->string && json_is_string(value))
        return check_string(check, node->string, value);
    return 0;
}
