/*
 * template_instantiate: the tasks of a template, with texts in place of its parameters.
 *
 * They are drawn up first, as orchestrator_plan_task would be asked for them, and all that can be refused is refused
 * then. A preview answers that; otherwise they are made in the transaction that keeps the call's answer: all or none.
 */
#include <stdlib.h>
#include <string.h>

#include "active.h"
#include "fill.h"
#include "plan.h"
#include "session.h"
#include "task.h"
#include "template_store.h"
#include "tool.h"
#include "words.h"

const char template_instantiate_input[] =
    INPUT("\"template_id\": {\"type\": \"string\", \"minLength\": 1}, \"parameters\": {\"type\": \"object\", "
          "\"description\": \"values by name\"}, \"create_tasks\": {\"type\": \"boolean\", \"default\": false, "
          "\"description\": \"false: only show what would be made\"}, " SESSION_ID,
          "\"template_id\", \"parameters\"");
const char template_instantiate_output[] =
    OUTPUT("\"template_id\": " STRING ", \"created\": " BOOLEAN ", \"tasks\": " LIST ", \"total\": " INTEGER,
           "\"template_id\", \"created\", \"tasks\", \"total\"");

enum { TITLE_CHARACTERS = 500 };

struct draft {
    const char *key, *parent; /* parent NULL: none */
    json_t *task;             /* owned: what orchestrator_plan_task takes, but relatives by key */
    struct plan plan;
};

struct drafts {
    struct draft *list; /* owned */
    size_t count;
};

static void drafts_fini(struct drafts *drafts) {
    for (size_t i = 0; i < drafts->count; i++) {
        json_decref(drafts->list[i].task);
        plan_fini(&drafts->list[i].plan);
    }
    free(drafts->list);
}

static size_t find(const struct drafts *drafts, const char *key) {
    size_t i = 0;

    while (strcmp(drafts->list[i].key, key) != 0)
        i++;
    return i; /* the template was looked through: it is there */
}

/* ---- what is to be made ---- */

static size_t characters(const char *text) {
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static int set_default(json_t *task, const char *key, const char *value) {
    return json_object_get(task, key) ? 0 : json_object_set_new(task, key, json_string(value));
}

static int complete(struct work *work, struct draft *draft) {
    if (!draft->task || set_default(draft->task, "description", "") < 0 ||
        set_default(draft->task, "task_type", "standard") < 0 ||
        set_default(draft->task, "complexity", "moderate") < 0 ||
        set_default(draft->task, "specialist_type", "generic") < 0)
        return work_no_memory(work);
    draft->parent = json_string_value(json_object_get(draft->task, "parent"));
    draft->plan.task = draft->task;
    const char *title = json_string_value(json_object_get(draft->task, "title"));
    if (!*title || characters(title) > TITLE_CHARACTERS)
        return work_refuse(work, "tasks.%.40s.title: with these parameters it %s", draft->key,
                           *title ? "is longer than 500 characters" : "is empty");
    if (plan_check(work, &draft->plan) == 0)
        return 0;
    struct theseus_error err = work->err;
    return work_refuse(work, "tasks.%.40s.%s", draft->key, err.message);
}

static int draw_up(struct work *work, const json_t *template, struct drafts *drafts) {
    const json_t *tasks = json_object_get(template, "tasks");
    CLEANUP(faults_fini) struct faults faults = {0};
    json_auto_t *values =
        fill_values_new(json_object_get(template, "parameters"), json_object_get(work->args, "parameters"), &faults);
    const char *key;
    json_t *task;

    if (faults_refuse(&faults, work, "the parameters do not fit") < 0)
        return -1;
    drafts->list = calloc(json_object_size(tasks), sizeof(*drafts->list));
    if (!values || !drafts->list)
        return work_no_memory(work);
    json_object_foreach ((json_t *)(uintptr_t)tasks, key, task) {
        struct draft *draft = &drafts->list[drafts->count++];
        draft->key = key;
        draft->task = fill_new(task, values);
        if (complete(work, draft) < 0)
            return -1;
    }
    return 0;
}

/* ---- making it ---- */

/* Parents first. There is no circle: each round makes at least one. */
static int make_rows(struct work *work, const struct drafts *drafts) {
    for (size_t made = 0; made < drafts->count;)
        for (size_t i = 0; i < drafts->count; i++) {
            struct draft *draft = &drafts->list[i];
            const struct draft *parent = draft->parent ? &drafts->list[find(drafts, draft->parent)] : NULL;
            if (draft->plan.id || (parent && !parent->plan.id))
                continue;
            draft->plan.parent = parent ? parent->plan.id : 0;
            if (plan_make(work, &draft->plan) < 0)
                return -1;
            made++;
        }
    return 0;
}

static int link_rows(struct work *work, const struct drafts *drafts) {
    for (size_t i = 0; i < drafts->count; i++) {
        struct plan *plan = &drafts->list[i].plan;
        const json_t *keys = json_object_get(plan->task, "dependencies"), *key;
        size_t k;
        if (json_array_size(keys) > 0 && !(plan->prerequisites = calloc(json_array_size(keys), sizeof(int64_t))))
            return work_no_memory(work);
        json_array_foreach (keys, k, key)
            plan->prerequisites[plan->count++] = drafts->list[find(drafts, json_string_value(key))].plan.id;
        if (plan_link(work, plan) < 0)
            return -1;
    }
    return 0;
}

/* ---- the answer ---- */

static json_t *names_new(const struct drafts *drafts, const json_t *keys) {
    json_t *names = json_array_size(keys) > 0 ? json_array() : NULL;
    const json_t *key;
    size_t i;

    json_array_foreach (keys, i, key)
        (void)json_array_append_new(names,
                                    json_string(drafts->list[find(drafts, json_string_value(key))].plan.task_id));
    return names;
}

/* A preview is everything that would be made; what was made is a short row. */
static json_t *row_new(const struct drafts *drafts, const struct draft *draft, bool created) {
    const char *title = json_string_value(json_object_get(draft->task, "title"));

    if (created)
        return json_pack("{s:s, s:s, s:s%, s:s, s:s*, s:o*}", "key", draft->key, "task_id", draft->plan.task_id,
                         "title", title, text_fitting(title, TASK_SHORT_TITLE), "status", "pending", "parent_task_id",
                         draft->parent ? drafts->list[find(drafts, draft->parent)].plan.task_id : NULL, "dependencies",
                         names_new(drafts, json_object_get(draft->task, "dependencies")));
    json_t *row = json_pack("{s:s}", "key", draft->key);
    if (row && json_object_update(row, draft->task) == 0)
        return row;
    json_decref(row);
    return NULL;
}

static void print_row(struct text *into, const struct draft *draft) {
    const char *title = json_string_value(json_object_get(draft->task, "title"));
    size_t len = text_fitting(title, TASK_SHORT_TITLE);
    const json_t *key;
    size_t i;

    text_print(into, "%s%s%s: %.*s (%s)", draft->plan.task_id, draft->plan.id ? " " : "", draft->key, (int)len, title,
               json_string_value(json_object_get(draft->task, "specialist_type")));
    if (draft->parent)
        text_print(into, ", part of %s", draft->parent);
    json_array_foreach (json_object_get(draft->task, "dependencies"), i, key)
        text_print(into, "%s%s", i ? ", " : ", behind ", json_string_value(key));
    text_print(into, "\n");
}

static int answer(struct work *work, const struct drafts *drafts, bool created) {
    json_t *rows = json_array();

    work->value = json_pack("{s:s, s:b, s:o, s:I}", "template_id", work_string(work, "template_id"), "created",
                            (int)created, "tasks", rows, "total", (json_int_t)drafts->count);
    if (!work->value)
        return work_no_memory(work);
    for (size_t i = 0; i < drafts->count; i++) {
        print_row(&work->text, &drafts->list[i]);
        if (json_array_append_new(rows, row_new(drafts, &drafts->list[i], created)) < 0)
            return work_no_memory(work);
    }
    if (created)
        text_print(&work->text, "Made %zu tasks.\nSession: %s", drafts->count, work->session.session_id);
    else
        text_print(&work->text, "Nothing is made yet: create_tasks = true makes these %zu tasks.", drafts->count);
    return 0;
}

/* A preview makes no session. */
static int find_session(struct work *work, bool creates) {
    return creates || work_string(work, "session_id") ? session_find_one(work) : session_look(work);
}

int tool_template_instantiate(struct work *work) {
    json_auto_t *template = NULL;
    CLEANUP(drafts_fini) struct drafts drafts = {0};
    bool creates = work_flag(work, "create_tasks", false);

    if (creates && !work->writing)
        return WORK_MUST_WRITE;
    if (!(template = template_get_new(work, work_string(work, "template_id"))) ||
        draw_up(work, template, &drafts) < 0 || find_session(work, creates) < 0 ||
        active_check(work, (int64_t)drafts.count) < 0)
        return -1;
    if (creates && (make_rows(work, &drafts) < 0 || link_rows(work, &drafts) < 0 || session_touch(work) < 0))
        return -1;
    return answer(work, &drafts, creates);
}
