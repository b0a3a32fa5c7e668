/* The tools that keep templates; what makes tasks of one is orchestrator's in tool_instantiate.c. */
#include <string.h>

#include "session_row.h"
#include "sql.h"
#include "task.h"
#include "template_store.h"
#include "tool.h"
#include "words.h"

#define TEMPLATE_ID "\"template_id\": {\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$\"}"
#define CONTENT                                                                                                      \
    "\"template_content\": {\"type\": [\"object\", \"string\"], \"description\": \"{name, description, parameters: " \
    "{NAME: {type, description, required, default, values}}, tasks: {KEY: {title, description, parent: KEY, "        \
    "dependencies: [KEY], … as in orchestrator_plan_task}}}; {{NAME}} in texts\"}"

const char template_list_input[] = INPUT("\"limit\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000, "
                                         "\"default\": 100}, \"offset\": {\"type\": \"integer\", \"minimum\": 0, "
                                         "\"default\": 0}",
                                         "");
const char template_list_output[] =
    OUTPUT_BARE("\"templates\": " LIST ", \"has_more\": " BOOLEAN ", \"next_offset\": {\"type\": [\"integer\", "
                "\"null\"]}",
                "\"templates\", \"has_more\", \"next_offset\"");

const char template_load_input[] = INPUT(TEMPLATE_ID, "\"template_id\"");
const char template_load_output[] = OUTPUT_BARE(
    "\"template_id\": " STRING ", \"builtin\": " BOOLEAN ", \"template\": " OBJECT, "\"template_id\", \"template\"");

const char template_create_input[] =
    INPUT(TEMPLATE_ID ", " CONTENT ", \"overwrite\": {\"type\": \"boolean\", \"default\": false}",
          "\"template_id\", \"template_content\"");
const char template_create_output[] = OUTPUT_BARE("\"template_id\": " STRING ", \"replaced\": " BOOLEAN
                                                  ", \"tasks\": " INTEGER ", \"parameters\": " INTEGER,
                                                  "\"template_id\", \"replaced\"");

const char template_validate_input[] =
    INPUT("\"template_content\": {\"type\": [\"object\", \"string\"], \"description\": \"as template_create takes "
          "it\"}",
          "\"template_content\"");
const char template_validate_output[] =
    OUTPUT_BARE("\"valid\": " BOOLEAN ", \"errors\": {\"type\": \"array\", \"items\": " STRING "}, \"tasks\": " INTEGER
                ", \"parameters\": " INTEGER,
                "\"valid\", \"errors\"");

const char template_delete_input[] = INPUT(TEMPLATE_ID, "\"template_id\"");
const char template_delete_output[] =
    OUTPUT_BARE("\"template_id\": " STRING ", \"status\": {\"const\": \"deleted\"}", "\"template_id\", \"status\"");

/* ---- template_list ---- */

struct listing {
    json_t *rows; /* borrowed */
    int64_t skip, room;
    bool has_more;
};

/* A row of the list, or one before or behind it. */
static int list_one(struct work *work, struct listing *listing, const char *template_id, const char *text,
                    bool builtin) {
    if (listing->skip > 0) {
        listing->skip--;
        return 0;
    }
    if (listing->room == 0) {
        listing->has_more = true;
        return 0;
    }
    listing->room--;
    json_auto_t *template = json_loads(text, 0, NULL);
    const char *name = json_string_value(json_object_get(template, "name"));
    const json_t *parameters = json_object_get(template, "parameters");
    json_int_t tasks = (json_int_t)json_object_size(json_object_get(template, "tasks"));
    CLEANUP(text_fini) struct text names = {0};
    const char *parameter;
    json_t *what;
    json_object_foreach ((json_t *)(uintptr_t)parameters, parameter, what)
        text_print(&names, "%s%s%s", names.len ? ", " : "", parameter,
                   json_is_true(json_object_get(what, "required")) ? "*" : "");
    size_t len = name ? text_fitting(name, TASK_SHORT_TITLE) : 0,
           shown = text_fitting(names.data ? names.data : "", 160);
    text_print(&work->text, "%s%s: %.*s, %lld tasks; parameters (* required): %.*s\n", template_id,
               builtin ? " (built in)" : "", (int)len, name ? name : "", (long long)tasks, (int)shown,
               names.len ? names.data : "none");
    json_t *row = json_pack("{s:s, s:s%, s:b, s:I, s:s%}", "template_id", template_id, "name", name ? name : "", len,
                            "builtin", (int)builtin, "tasks", tasks, "parameters", names.data ? names.data : "", shown);
    return json_array_append_new(listing->rows, row) < 0 ? work_no_memory(work) : 0;
}

static int list_stored(struct work *work, struct listing *listing) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows = sql_query(work, "SELECT template_id, template FROM task_templates ORDER BY template_id", "");
    int r;

    while ((r = sql_next(work, rows)) > 0)
        if (list_one(work, listing, sql_text(rows, 0), sql_text(rows, 1), false) < 0)
            return -1;
    return r;
}

int tool_template_list(struct work *work) {
    int64_t limit = work_integer(work, "limit", 100), offset = work_integer(work, "offset", 0);
    struct listing listing = {.rows = json_array(), .skip = offset, .room = limit};

    work->value = json_pack("{s:o}", "templates", listing.rows);
    if (!work->value)
        return work_no_memory(work);
    for (const struct template_entry *entry = template_builtin; entry->template_id; entry++)
        if (list_one(work, &listing, entry->template_id, entry->text, true) < 0)
            return -1;
    return list_stored(work, &listing) < 0 ? -1 : work_add_more(work, listing.has_more, offset + limit);
}

/* ---- the others ---- */

int tool_template_load(struct work *work) {
    const char *template_id = work_string(work, "template_id");
    json_auto_t *template = template_get_new(work, template_id);
    CLEANUP(memory_free) char *text = template ? json_dumps(template, JSON_INDENT(2)) : NULL;

    if (!template)
        return -1;
    work->value = json_pack("{s:s, s:b, s:O}", "template_id", template_id, "builtin",
                            template_builtin_find(template_id) != NULL, "template", template);
    text_print(&work->text, "%s", text ? text : "");
    return 0;
}

int tool_template_create(struct work *work) {
    const char *template_id = work_string(work, "template_id");
    CLEANUP(faults_fini) struct faults faults = {0};
    json_auto_t *template = template_read_new(json_object_get(work->args, "template_content"), &faults);
    bool replaced = false;

    if (template)
        template_check(template, &faults);
    if (faults_refuse(&faults, work, "the template is not sound") < 0 ||
        template_put(work, template_id, template, &replaced) < 0)
        return -1;
    work->value = json_pack("{s:s, s:b}", "template_id", template_id, "replaced", (int)replaced);
    text_print(&work->text, "%s template %s with %zu tasks. template_instantiate shows what it makes.",
               replaced ? "Replaced" : "Created", template_id, json_object_size(json_object_get(template, "tasks")));
    return template_add_counts(work, template);
}

int tool_template_validate(struct work *work) {
    CLEANUP(faults_fini) struct faults faults = {0};
    json_auto_t *template = template_read_new(json_object_get(work->args, "template_content"), &faults);
    const json_t *one;
    size_t i;

    if (template)
        template_check(template, &faults);
    if (faults.failed)
        return work_no_memory(work);
    json_t *errors = faults.list ? json_incref(faults.list) : json_array();
    work->value = json_pack("{s:b, s:o}", "valid", faults.count == 0, "errors", errors);
    if (!work->value)
        return work_no_memory(work);
    text_print(&work->text, faults.count ? "The template is not sound:\n" : "The template is sound.\n");
    json_array_foreach (faults.list, i, one)
        text_print(&work->text, "%s\n", json_string_value(one));
    return template_add_counts(work, template);
}

int tool_template_delete(struct work *work) {
    const char *template_id = work_string(work, "template_id");

    if (template_remove(work, template_id) < 0)
        return -1;
    work->value = json_pack("{s:s, s:s}", "template_id", template_id, "status", "deleted");
    text_print(&work->text, "Deleted template %s.", template_id);
    return 0;
}
