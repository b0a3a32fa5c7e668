#include "template_store.h"

#include <string.h>

#include "sql.h"

const struct template_entry *template_builtin_find(const char *template_id) {
    for (const struct template_entry *entry = template_builtin; entry->template_id; entry++)
        if (strcmp(entry->template_id, template_id) == 0)
            return entry;
    return NULL;
}

static int refuse_builtin(struct work *work, const char *template_id, const char *what) {
    if (!template_builtin_find(template_id))
        return 0;
    return work_refuse(work, "template '%.64s' is built in and cannot be %s; template_create under another name",
                       template_id, what);
}

static json_t *stored_new(struct work *work, const char *template_id) {
    CLEANUP(sql_done)
    sqlite3_stmt *row = sql_query(work, "SELECT template FROM task_templates WHERE template_id = ?1", "s", template_id);
    int r = sql_next(work, row);

    if (r == 0)
        (void)work_refuse(work, "there is no template '%.64s'; template_list names those that there are", template_id);
    return r > 0 ? json_loads(sql_text(row, 0), 0, NULL) : NULL;
}

/* What is in the database may have been written by another version. */
json_t *template_get_new(struct work *work, const char *template_id) {
    const struct template_entry *builtin = template_builtin_find(template_id);
    CLEANUP(faults_fini) struct faults faults = {0};
    json_auto_t *template = builtin ? json_loads(builtin->text, 0, NULL) : stored_new(work, template_id);

    if (!template) {
        if (!work->err.code)
            (void)work_refuse(work, "template '%.64s' cannot be read; template_delete removes it", template_id);
        return NULL;
    }
    template_check(template, &faults);
    return faults_refuse(&faults, work, "the template is not sound") < 0 ? NULL : json_incref(template);
}

int template_put(struct work *work, const char *template_id, const json_t *template, bool *ret_replaced) {
    CLEANUP(memory_free) char *text = json_dumps(template, JSON_COMPACT);
    int64_t there = 0, count = 0;

    if (!text)
        return work_no_memory(work);
    if (refuse_builtin(work, template_id, "overwritten") < 0 ||
        sql_number(work, 0, &there, "SELECT 1 FROM task_templates WHERE template_id = ?1", "s", template_id) < 0 ||
        sql_number(work, 0, &count, "SELECT count(*) FROM task_templates", "") < 0)
        return -1;
    if (there && !work_flag(work, "overwrite", false))
        return work_refuse(work, "there is a template '%.64s' already; overwrite = true replaces it", template_id);
    if (!there && count >= TEMPLATE_COUNT_MAX)
        return work_refuse(work, "there are %lld templates, and there may be no more: delete some", (long long)count);
    *ret_replaced = there;
    return sql_run(work,
                   "INSERT INTO task_templates (template_id, template, created_at, updated_at) VALUES (?1, ?2, ?3, ?3) "
                   "ON CONFLICT (template_id) DO UPDATE SET template = excluded.template, updated_at = "
                   "excluded.updated_at",
                   "ssi", template_id, text, work->now);
}

int template_remove(struct work *work, const char *template_id) {
    int64_t there = 0;

    if (refuse_builtin(work, template_id, "deleted") < 0 ||
        sql_number(work, 0, &there, "SELECT 1 FROM task_templates WHERE template_id = ?1", "s", template_id) < 0)
        return -1;
    if (!there)
        return work_refuse(work, "there is no template '%.64s'; template_list names those that there are", template_id);
    return sql_run(work, "DELETE FROM task_templates WHERE template_id = ?1", "s", template_id);
}
