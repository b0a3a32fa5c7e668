#include "input.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

enum { INPUT_NAME_MAX = 64 };

static const struct {
    const char *name;
    enum input_type type;
    const char *schema_type;
} types[] = {
    {"string", INPUT_STRING, "string"},    {"number", INPUT_NUMBER, "number"}, {"integer", INPUT_INTEGER, "integer"},
    {"boolean", INPUT_BOOLEAN, "boolean"}, {"enum", INPUT_ENUM, "string"},     {"array", INPUT_ARRAY, "array"},
};

bool name_is_valid(const char *name, size_t len, const char *more) {
    if (len == 0 || len > INPUT_NAME_MAX || (!isalpha((unsigned char)*name) && *name != '_'))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_' && !strchr(more, name[i]))
            return false;
    return true;
}

static const char *skip_blanks(const char *at) {
    return at + strspn(at, " \t\n");
}

/* A copy of what lies between, without blanks around it. */
static char *trimmed(const char *from, const char *to) {
    from += strspn(from, " \t\n");
    while (to > from && strchr(" \t\n", to[-1]))
        to--;
    return memory_copied(from, to > from ? (size_t)(to - from) : 0);
}

static int add_choice(struct input *input, char *choice, struct theseus_error *err) {
    size_t i;
    json_t *other;

    if (!*choice)
        return theseus_fail(err, "an enum has an empty value; write it like enum(a|b)");
    json_array_foreach (input->choices, i, other) {
        if (strcmp(json_string_value(other), choice) == 0)
            return theseus_fail(err, "the enum names '%s' twice", choice);
    }
    if (json_array_append_new(input->choices, json_string(choice)) < 0)
        return theseus_fail(err, "the enum's value '%s' is not UTF-8", choice);
    return 0;
}

static const char *parse_choices(struct input *input, const char *at, struct theseus_error *err) {
    const char *end = strchr(at, ')');
    int r = 0;

    if (*at != '(' || !end) {
        (void)theseus_fail(err, "an enum needs its values in brackets: enum(a|b)");
        return NULL;
    }
    input->choices = json_array();
    for (at++; r == 0 && at <= end; at++) {
        size_t len = strcspn(at, "|)");
        char *choice = trimmed(at, at + len);
        r = add_choice(input, choice, err);
        free(choice);
        at += len;
    }
    return r == 0 ? end + 1 : NULL;
}

static const char *parse_type(struct input *input, const char *at, struct theseus_error *err) {
    size_t len = strcspn(at, " \t\n,:=(");

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strlen(types[i].name) != len || strncmp(types[i].name, at, len) != 0)
            continue;
        input->type = types[i].type;
        return input->type == INPUT_ENUM ? parse_choices(input, skip_blanks(at + len), err) : at + len;
    }
    (void)theseus_fail(err, "unknown type '%.*s'; types are string, number, integer, boolean, enum(a|b) and array",
                       (int)len, at);
    return NULL;
}

static const char *parse_modifier(struct input *input, const char *at, struct theseus_error *err) {
    size_t len = strcspn(at, " \t\n,:=");

    if (len == strlen("optional") && strncmp(at, "optional", len) == 0)
        input->optional = true;
    else if (len == strlen("dash") && strncmp(at, "dash", len) == 0)
        input->dash = true;
    else {
        (void)theseus_fail(err, "unknown word '%.*s'; after the type may stand: optional, dash, = DEFAULT", (int)len,
                           at);
        return NULL;
    }
    return at + len;
}

/* Where a default that is not in quotes ends: at the colon that begins the description, or at the end. */
static const char *default_end(const char *at) {
    for (; *at; at++)
        if (*at == ':' && (at[1] == '\0' || strchr(" \t\n", at[1])))
            break;
    return at;
}

static int set_default(struct input *input, const char *text, struct theseus_error *err) {
    static const char *const wanted[] = {[INPUT_NUMBER] = "a number",
                                         [INPUT_INTEGER] = "an integer",
                                         [INPUT_BOOLEAN] = "true or false",
                                         [INPUT_ENUM] = "one of the enum's values"};
    bool fits = true;
    size_t i;
    json_t *choice;

    if (input->fallback)
        return theseus_fail(err, "it has two defaults");
    if (input->type == INPUT_ARRAY)
        return theseus_fail(err, "an array cannot have a default; declare it 'array, optional'");
    if (input->type == INPUT_STRING || input->type == INPUT_ENUM)
        input->fallback = json_string(text);
    else
        input->fallback = json_loads(text, JSON_DECODE_ANY, NULL);
    if (input->type == INPUT_NUMBER)
        fits = json_is_number(input->fallback);
    else if (input->type == INPUT_INTEGER)
        fits = json_is_integer(input->fallback);
    else if (input->type == INPUT_BOOLEAN)
        fits = json_is_boolean(input->fallback);
    else if (input->type == INPUT_ENUM) {
        fits = false;
        json_array_foreach (input->choices, i, choice)
            fits = fits || json_equal(choice, input->fallback);
    }
    if (!fits)
        return theseus_fail(err, "the default '%s' must be %s", text, wanted[input->type]);
    return input->fallback ? 0 : theseus_fail(err, "the default '%s' is not UTF-8", text);
}

static const char *parse_default(struct input *input, const char *at, struct theseus_error *err) {
    bool quoted = *at == '"';
    const char *end = quoted ? strchr(at + 1, '"') : default_end(at);
    char *text;

    if (!end) {
        (void)theseus_fail(err, "the default's closing quotation mark is missing");
        return NULL;
    }
    text = quoted ? memory_copied(at + 1, (size_t)(end - at - 1)) : trimmed(at, end);
    int r = set_default(input, text, err);
    free(text);
    return r < 0 ? NULL : end + quoted;
}

/* What begins with '-' could never be passed without `dash`: better said here than at every call. */
static int check_dashes(const struct input *input, struct theseus_error *err) {
    const char *text = json_string_value(input->fallback);
    size_t i;
    json_t *choice;

    if (input->dash)
        return 0;
    if ((text && *text == '-') || (json_is_number(input->fallback) && json_number_value(input->fallback) < 0))
        return theseus_fail(err, "the default begins with '-', like an option; add ', dash' to allow that");
    json_array_foreach (input->choices, i, choice) {
        if (*json_string_value(choice) == '-')
            return theseus_fail(err, "the value '%s' begins with '-', like an option; add ', dash' to allow that",
                                json_string_value(choice));
    }
    return 0;
}

static int input_parse(struct input *input, const char *text, struct theseus_error *err) {
    const char *at = parse_type(input, skip_blanks(text), err);

    while (at && *(at = skip_blanks(at)) != '\0') {
        if (*at == ':') {
            input->description = trimmed(at + 1, at + strlen(at));
            break;
        }
        if (*at == ',')
            at = skip_blanks(at + 1);
        else if (*at != '=') {
            (void)theseus_fail(err, "cannot read '%.40s'; write it like: string, optional = DEFAULT: description", at);
            return -1;
        }
        at = *at == '=' ? parse_default(input, skip_blanks(at + 1), err) : parse_modifier(input, at, err);
    }
    return at ? check_dashes(input, err) : -1;
}

int inputs_add(struct inputs *inputs, const char *name, const char *declaration, struct theseus_error *err) {
    if (!name_is_valid(name, strlen(name), "-"))
        return theseus_fail(err, "a name is a letter or '_', then letters, digits, '_' and '-', at most %d characters",
                            INPUT_NAME_MAX);
    inputs->items = memory_grown(inputs->items, inputs->count, sizeof(*inputs->items));
    struct input *input = &inputs->items[inputs->count++];
    input->name = memory_copied(name, strlen(name));
    return input_parse(input, declaration, err);
}

struct input *inputs_find(const struct inputs *inputs, const char *name, size_t len) {
    for (size_t i = 0; i < inputs->count; i++)
        if (strlen(inputs->items[i].name) == len && strncmp(inputs->items[i].name, name, len) == 0)
            return &inputs->items[i];
    return NULL;
}

void inputs_fini(struct inputs *inputs) {
    for (size_t i = 0; i < inputs->count; i++) {
        free(inputs->items[i].name);
        free(inputs->items[i].description);
        json_decref(inputs->items[i].choices);
        json_decref(inputs->items[i].fallback);
    }
    free(inputs->items);
    *inputs = (struct inputs){0};
}

static json_t *input_schema(const struct input *input) {
    const char *description = input->description && *input->description ? input->description : NULL;

    return json_pack("{s:s, s:o*, s:O*, s:s*, s:O*}", "type", types[input->type].schema_type, "items",
                     input->type == INPUT_ARRAY ? json_pack("{s:s}", "type", "string") : NULL, "enum", input->choices,
                     "description", description, "default", input->fallback);
}

json_t *inputs_schema(const struct inputs *inputs) {
    json_t *properties = json_object(), *required = json_array();
    int r = 0;

    for (size_t i = 0; i < inputs->count; i++) {
        const struct input *input = &inputs->items[i];
        r |= json_object_set_new(properties, input->name, input_schema(input));
        if (!input->optional && !input->fallback)
            r |= json_array_append_new(required, json_string(input->name));
    }
    json_t *schema = json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties, "required", required,
                               "additionalProperties", 0);
    if (r == 0)
        return schema;
    json_decref(schema);
    return NULL;
}

const json_t *input_value(const struct input *input, const json_t *args) {
    const json_t *value = json_object_get(args, input->name);

    return value ? value : input->fallback;
}

/* The shortest digits that mean the same number, with a point whatever the locale says. */
static void print_real(double value, struct text *text) {
    char digits[40];

    if (value > -1e18 && value < 1e18 && (double)(long long)value == value) {
        text_printf(text, "%lld", (long long)value);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    if (strchr(digits, ','))
        *strchr(digits, ',') = '.';
    text_add(text, digits, strlen(digits));
}

int input_print(const struct input *input, const json_t *value, struct text *text, struct theseus_error *err) {
    if (json_is_string(value))
        text_add(text, json_string_value(value), json_string_length(value));
    else if (json_is_boolean(value))
        text_printf(text, "%s", json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        text_printf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        print_real(json_real_value(value), text);
    else
        return theseus_fail(err, "argument '%s' is of a type that cannot be passed to a program", input->name);
    return 0;
}
