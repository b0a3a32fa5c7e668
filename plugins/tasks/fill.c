#include "fill.h"

#include <string.h>

enum { NAME_SHOWN = 80 };

/* ---- values ---- */

static bool is_plain(const json_t *value) {
    return json_is_number(value) || json_is_boolean(value) ||
           (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value));
}

static bool is_listed(const json_t *values, const json_t *value) {
    const json_t *one;
    size_t i;

    json_array_foreach (values, i, one)
        if (json_equal(one, value))
            return true;
    return false;
}

static void check_enum(const char *path, const json_t *parameter, const json_t *value, struct faults *faults) {
    const json_t *values = json_object_get(parameter, "values"), *one;
    CLEANUP(text_fini) struct text known = {0};
    size_t i;

    if (is_listed(values, value))
        return;
    json_array_foreach (values, i, one)
        text_print(&known, "%s%s", i ? ", " : "", json_is_string(one) ? json_string_value(one) : "…");
    faults_add(faults, "%s: must be one of %s", path, known.data ? known.data : "its values");
}

static void check_array(const char *path, const json_t *value, struct faults *faults) {
    const json_t *one;
    size_t i;

    if (!json_is_array(value))
        faults_add(faults, "%s: must be an array", path);
    json_array_foreach (value, i, one)
        if (!is_plain(one))
            faults_add(faults, "%s[%zu]: must be a text without NUL, a number, true or false", path, i);
}

void fill_check(const char *path, const json_t *parameter, const json_t *value, struct faults *faults) {
    const char *type = json_string_value(json_object_get(parameter, "type"));

    if (strcmp(type, "enum") == 0)
        check_enum(path, parameter, value, faults);
    else if (strcmp(type, "array") == 0)
        check_array(path, value, faults);
    else if (strcmp(type, "string") == 0 && !(json_is_string(value) && is_plain(value)))
        faults_add(faults, "%s: must be a text without NUL", path);
    else if (strcmp(type, "integer") == 0 && !json_is_integer(value))
        faults_add(faults, "%s: must be an integer", path);
    else if (strcmp(type, "number") == 0 && !json_is_number(value))
        faults_add(faults, "%s: must be a number", path);
    else if (strcmp(type, "boolean") == 0 && !json_is_boolean(value))
        faults_add(faults, "%s: must be true or false", path);
}

static void print_value(struct text *into, const json_t *value) {
    const json_t *one;
    size_t i;

    if (json_is_string(value)) {
        text_add(into, json_string_value(value), json_string_length(value));
    } else if (json_is_array(value)) {
        json_array_foreach (value, i, one) {
            text_print(into, i ? ", " : "");
            print_value(into, one);
        }
    } else if (value) {
        CLEANUP(memory_free) char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        text_print(into, "%s", dumped ? dumped : "");
        into->failed = into->failed || !dumped;
    }
}

static void name_unknown(const json_t *parameters, const char *name, struct faults *faults) {
    CLEANUP(text_fini) struct text known = {0};
    const char *other;
    json_t *parameter;

    json_object_foreach ((json_t *)(uintptr_t)parameters, other, parameter)
        text_print(&known, "%s%s", known.len ? ", " : "", other);
    faults_add(faults, "parameters.%s: the template has no such parameter; it has %s", name,
               known.data ? known.data : "none");
}

/* Its value, or the default; NULL: it is missing. */
static const json_t *value_of(const char *name, const json_t *parameter, const json_t *given, struct faults *faults) {
    const json_t *value = json_object_get(given, name);
    const char *description = json_string_value(json_object_get(parameter, "description"));
    CLEANUP(text_fini) struct text path = {0};

    text_print(&path, "parameters.%s", name);
    if (value && !path.failed)
        fill_check(path.data, parameter, value, faults);
    if (!value)
        value = json_object_get(parameter, "default");
    if (!value && json_is_true(json_object_get(parameter, "required")))
        faults_add(faults, "parameters.%s: is required%s%s", name, description ? ": " : "",
                   description ? description : "");
    return value;
}

json_t *fill_values_new(const json_t *parameters, const json_t *given, struct faults *faults) {
    json_t *values = json_object(), *one;
    const char *name;
    int r = 0;

    json_object_foreach ((json_t *)(uintptr_t)given, name, one)
        if (!json_object_get(parameters, name))
            name_unknown(parameters, name, faults);
    json_object_foreach ((json_t *)(uintptr_t)parameters, name, one) {
        CLEANUP(text_fini) struct text text = {0};
        print_value(&text, value_of(name, one, given, faults));
        r |= text.failed ? -1 : json_object_set_new(values, name, json_stringn(text.data ? text.data : "", text.len));
    }
    if (values && r == 0)
        return values;
    json_decref(values);
    return NULL;
}

/* ---- texts ---- */

/* The next {{name}} of a text: what is before it, its name, and what follows. */
struct piece {
    const char *name, *rest; /* NULL: there is none; it is not closed */
    size_t before, len;
};

static struct piece piece_of(const char *text) {
    const char *open = strstr(text, "{{"), *close = open ? strstr(open, "}}") : NULL;

    if (!open)
        return (struct piece){.before = strlen(text)};
    struct piece piece = {.name = open + 2, .before = (size_t)(open - text), .rest = close ? close + 2 : NULL};
    piece.name += strspn(piece.name, " ");
    if (!close)
        return piece;
    const char *end = close;
    while (end > piece.name && end[-1] == ' ')
        end--;
    piece.len = end > piece.name ? (size_t)(end - piece.name) : 0;
    return piece;
}

static json_t *get(const json_t *object, const struct piece *piece) {
    return json_object_getn(object, piece->name, piece->len);
}

void fill_check_text(const char *path, const char *text, const json_t *parameters, struct faults *faults) {
    for (struct piece piece; (piece = piece_of(text)).name; text = piece.rest) {
        if (!piece.rest) {
            faults_add(faults, "%s: '{{' is not closed by '}}'", path);
            return;
        }
        if (!get(parameters, &piece))
            faults_add(faults, "%s: {{%.*s}} is no parameter of the template", path,
                       (int)(piece.len < NAME_SHOWN ? piece.len : NAME_SHOWN), piece.name);
    }
}

static json_t *text_new(const char *from, const json_t *values) {
    CLEANUP(text_fini) struct text text = {0};
    struct piece piece;

    for (; (piece = piece_of(from)).name && piece.rest; from = piece.rest) {
        const json_t *value = get(values, &piece);
        text_add(&text, from, piece.before);
        text_add(&text, json_string_value(value) ? json_string_value(value) : "", json_string_length(value));
    }
    text_add(&text, from, strlen(from));
    return text.failed ? NULL : json_stringn(text.data, text.len);
}

json_t *fill_new(const json_t *value, const json_t *values) {
    const char *name;
    json_t *inner;
    size_t i;
    int r = 0;

    if (json_is_string(value))
        return text_new(json_string_value(value), values);
    if (!json_is_object(value) && !json_is_array(value))
        return json_incref((json_t *)(uintptr_t)value);
    json_t *copy = json_is_object(value) ? json_object() : json_array();
    json_object_foreach ((json_t *)(uintptr_t)value, name, inner)
        r |= json_object_set_new(copy, name, fill_new(inner, values));
    json_array_foreach (value, i, inner)
        r |= json_array_append_new(copy, fill_new(inner, values));
    if (copy && r == 0)
        return copy;
    json_decref(copy);
    return NULL;
}
