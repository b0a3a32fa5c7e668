#include "template.h"

#include <ctype.h>
#include <string.h>

#include "circles.h"
#include "clock.h"
#include "fill.h"
#include "words.h"

/* A member that may be there: what it must be, and (for words) which ones. */
struct member {
    const char *name;
    bool required;
    json_type type;
    const char *words; /* a JSON array; NULL: any text */
};

enum { NAME_MAX_BYTES = 64, DEPTH_MAX = 16 };

static const struct member template_members[] = {
    {"name", true, JSON_STRING, NULL},
    {"description", false, JSON_STRING, NULL},
    {"parameters", false, JSON_OBJECT, NULL},
    {"tasks", true, JSON_OBJECT, NULL},
    {0},
};

static const struct member parameter_members[] = {
    {"type", true, JSON_STRING, FILL_TYPES}, {"description", false, JSON_STRING, NULL},
    {"required", false, JSON_TRUE, NULL},    {"default", false, JSON_NULL, NULL},
    {"values", false, JSON_ARRAY, NULL},     {0},
};

static const struct member task_members[] = {
    {"title", true, JSON_STRING, NULL},
    {"description", false, JSON_STRING, NULL},
    {"task_type", false, JSON_STRING, WORDS_TASK_TYPE},
    {"complexity", false, JSON_STRING, WORDS_COMPLEXITY},
    {"specialist_type", false, JSON_STRING, WORDS_SPECIALIST},
    {"estimated_effort", false, JSON_STRING, NULL},
    {"due_date", false, JSON_STRING, NULL},
    {"context", false, JSON_OBJECT, NULL},
    {"parent", false, JSON_STRING, NULL},
    {"dependencies", false, JSON_ARRAY, NULL},
    {0},
};

/* ---- members ---- */

/* JSON_TRUE stands for either, JSON_NULL for anything. */
static bool is_of(const json_t *value, json_type type) {
    return type == JSON_NULL || (type == JSON_TRUE ? json_is_boolean(value) : json_typeof(value) == type);
}

static const char *type_name(json_type type) {
    switch (type) {
    case JSON_STRING:
        return "a text";
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    default:
        return "true or false";
    }
}

static void check_member(const char *path, const struct member *member, const json_t *value, struct faults *faults) {
    if (!is_of(value, member->type))
        faults_add(faults, "%s%s: must be %s", path, member->name, type_name(member->type));
    else if (member->words && !words_has(member->words, json_string_value(value)))
        faults_add(faults, "%s%s: '%s' is none of %s", path, member->name, json_string_value(value), member->words);
    else if (member->required && json_is_string(value) && json_string_length(value) == 0)
        faults_add(faults, "%s%s: is empty", path, member->name);
}

static const struct member *find_member(const struct member *members, const char *name) {
    while (members->name && strcmp(members->name, name) != 0)
        members++;
    return members->name ? members : NULL;
}

static void name_unknown(const char *path, const struct member *members, const char *name, struct faults *faults) {
    CLEANUP(text_fini) struct text known = {0};

    for (const struct member *member = members; member->name; member++)
        text_print(&known, "%s%s", member == members ? "" : ", ", member->name);
    faults_add(faults, "%s%s: unknown; there are %s", path, name, known.data ? known.data : "others");
}

/* `path` ends with a point, or is empty. */
static bool check_members(const char *path, const struct member *members, const json_t *object, struct faults *faults) {
    size_t before = faults->count;
    const char *name;
    json_t *value;

    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        const struct member *member = find_member(members, name);
        if (member)
            check_member(path, member, value, faults);
        else
            name_unknown(path, members, name, faults);
    }
    for (const struct member *member = members; member->name; member++)
        if (member->required && !json_object_get(object, member->name))
            faults_add(faults, "%s%s: is missing", path, member->name);
    return faults->count == before;
}

static void check_name(const char *what, const char *name, struct faults *faults) {
    size_t len = strlen(name), i = 0;

    while (i < len && (isalnum((unsigned char)name[i]) || name[i] == '_' || name[i] == '-'))
        i++;
    if (len == 0 || len > NAME_MAX_BYTES || i < len)
        faults_add(faults, "%s.%s: a name has 1 to %d letters, digits, _ and -", what, name, (int)NAME_MAX_BYTES);
}

static bool check_size(const char *what, const json_t *object, size_t max, struct faults *faults) {
    if (json_object_size(object) <= max)
        return true;
    faults_add(faults, "%s: there are %zu, and there may be %zu", what, json_object_size(object), max);
    return false;
}

/* ---- parameters ---- */

static void check_values(const char *path, const json_t *parameter, bool is_enum, struct faults *faults) {
    const json_t *values = json_object_get(parameter, "values"), *one;
    size_t i;

    if (is_enum && json_array_size(values) == 0)
        faults_add(faults, "%svalues: an enum needs at least one", path);
    else if (!is_enum && values)
        faults_add(faults, "%svalues: are for type enum alone", path);
    json_array_foreach (values, i, one)
        if (!json_is_string(one))
            faults_add(faults, "%svalues[%zu]: must be a text", path, i);
}

static void check_parameter(const char *name, const json_t *parameter, struct faults *faults) {
    CLEANUP(text_fini) struct text path = {0};

    text_print(&path, "parameters.%s.", name);
    check_name("parameters", name, faults);
    if (!json_is_object(parameter)) {
        faults_add(faults, "parameters.%s: must be an object", name);
        return;
    }
    if (path.failed || !check_members(path.data, parameter_members, parameter, faults))
        return;
    const char *type = json_string_value(json_object_get(parameter, "type"));
    const json_t *missing = json_object_get(parameter, "default");
    check_values(path.data, parameter, strcmp(type, "enum") == 0, faults);
    text_print(&path, "default");
    if (missing && !path.failed)
        fill_check(path.data, parameter, missing, faults);
}

/* ---- tasks ---- */

struct place {
    const json_t *template;
    struct faults *faults;
};

static void check_text(const struct place *place, const char *path, const json_t *text) {
    if (strlen(json_string_value(text)) != json_string_length(text))
        faults_add(place->faults, "%s: holds a NUL character", path);
    fill_check_text(path, json_string_value(text), json_object_get(place->template, "parameters"), place->faults);
}

/* In a task, and in what its context holds. */
static void check_texts(const struct place *place, const char *path, const json_t *value, int depth) {
    const char *name;
    json_t *inner;
    size_t i;

    if (depth > DEPTH_MAX) {
        faults_add(place->faults, "%s: is nested too deep", path);
        return;
    }
    if (json_is_string(value))
        check_text(place, path, value);
    json_object_foreach ((json_t *)(uintptr_t)value, name, inner) {
        CLEANUP(text_fini) struct text below = {0};
        text_print(&below, "%s.%s", path, name);
        check_texts(place, below.data ? below.data : path, inner, depth + 1);
    }
    json_array_foreach (value, i, inner) {
        CLEANUP(text_fini) struct text below = {0};
        text_print(&below, "%s[%zu]", path, i);
        check_texts(place, below.data ? below.data : path, inner, depth + 1);
    }
}

static void check_relative(const struct place *place, const char *path, const char *own, const json_t *key) {
    const char *name = json_string_value(key);

    if (!name)
        faults_add(place->faults, "%s: must be the key of a task", path);
    else if (strcmp(name, own) == 0)
        faults_add(place->faults, "%s: is the task itself", path);
    else if (!json_object_get(json_object_get(place->template, "tasks"), name))
        faults_add(place->faults, "%s: the template has no task '%s'", path, name);
}

static void check_relatives(const struct place *place, const char *path, const char *own, const json_t *task) {
    const json_t *parent = json_object_get(task, "parent"), *key;
    CLEANUP(text_fini) struct text at = {0};
    size_t i;

    text_print(&at, "%sparent", path);
    if (parent && !at.failed)
        check_relative(place, at.data, own, parent);
    json_array_foreach (json_object_get(task, "dependencies"), i, key) {
        text_clear(&at);
        text_print(&at, "%sdependencies[%zu]", path, i);
        if (!at.failed)
            check_relative(place, at.data, own, key);
    }
}

static void check_date(const struct place *place, const char *path, const json_t *task) {
    const char *date = json_string_value(json_object_get(task, "due_date"));
    int64_t ms;

    if (date && !strstr(date, "{{") && !clock_parse(date, &ms))
        faults_add(place->faults, "%sdue_date: '%s' is no date such as 2026-03-01", path, date);
}

static void check_task(const struct place *place, const char *key, const json_t *task) {
    CLEANUP(text_fini) struct text path = {0};

    check_name("tasks", key, place->faults);
    text_print(&path, "tasks.%s", key);
    if (path.failed)
        return;
    if (!json_is_object(task)) {
        faults_add(place->faults, "%s: must be an object", path.data);
        return;
    }
    check_texts(place, path.data, task, 0);
    text_print(&path, ".");
    if (path.failed || !check_members(path.data, task_members, task, place->faults))
        return;
    check_relatives(place, path.data, key, task);
    check_date(place, path.data, task);
}

/* ---- all of it ---- */

static void check_parts(const struct place *place) {
    const json_t *parameters = json_object_get(place->template, "parameters"),
                 *tasks = json_object_get(place->template, "tasks");
    const char *name;
    json_t *one;

    if (!check_size("parameters", parameters, TEMPLATE_PARAMETERS, place->faults) ||
        !check_size("tasks", tasks, TEMPLATE_TASKS, place->faults))
        return;
    if (json_object_size(tasks) == 0)
        faults_add(place->faults, "tasks: there is none");
    json_object_foreach ((json_t *)(uintptr_t)parameters, name, one)
        check_parameter(name, one, place->faults);
    json_object_foreach ((json_t *)(uintptr_t)tasks, name, one)
        check_task(place, name, one);
    if (place->faults->count == 0)
        circles_check(tasks, place->faults);
}

void template_check(const json_t *template, struct faults *faults) {
    const struct place place = {template, faults};
    size_t bytes = json_dumpb(template, NULL, 0, JSON_COMPACT);

    if (bytes == 0 || bytes > TEMPLATE_BYTES)
        faults_add(faults, "the template has %zu bytes, and may have %d", bytes, (int)TEMPLATE_BYTES);
    else if (check_members("", template_members, template, faults))
        check_parts(&place);
}

json_t *template_read_new(const json_t *given, struct faults *faults) {
    json_error_t at;

    if (json_is_object(given))
        return json_incref((json_t *)(uintptr_t)given);
    json_t *template = json_loadb(json_string_value(given), json_string_length(given), JSON_REJECT_DUPLICATES, &at);
    if (json_is_object(template))
        return template;
    if (template)
        faults_add(faults, "the template must be an object");
    else
        faults_add(faults, "line %d, column %d: %s", at.line, at.column, at.text);
    json_decref(template);
    return NULL;
}

int template_add_counts(struct work *work, const json_t *template) {
    size_t tasks = json_object_size(json_object_get(template, "tasks")),
           parameters = json_object_size(json_object_get(template, "parameters"));

    return json_object_set_new(work->value, "tasks", json_integer((json_int_t)tasks)) < 0 ||
                   json_object_set_new(work->value, "parameters", json_integer((json_int_t)parameters)) < 0
               ? work_no_memory(work)
               : 0;
}
