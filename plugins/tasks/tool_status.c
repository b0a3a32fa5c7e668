/* orchestrator_get_status: where the work stands, as a whole or of one task. */
#include "session.h"
#include "session_row.h"
#include "task.h"
#include "tool.h"
#include "tree.h"
#include "words.h"

const char status_input[] =
    INPUT("\"include_completed\": {\"type\": \"boolean\", \"default\": false}, \"task_id\": " STRING ", " DETAIL
          ", " PAGE_INPUT("100") ", " SESSION_ID,
          "");
const char status_output[] = OUTPUT("\"progress\": " OBJECT ", \"tasks\": " LIST ", \"completed\": " LIST
                                    ", \"task\": " OBJECT ", \"completed_has_more\": " BOOLEAN
                                    ", \"has_more\": " BOOLEAN ", \"next_offset\": {\"type\": [\"integer\", \"null\"]}",
                                    "\"session_id\"");

enum { TASKS_SHOWN = 100, COMPLETED_SHOWN = 50 };

static int show_task(struct work *work, const char *task_id) {
    unsigned wanted = work_flag(work, "detail", false) ? ROW_ARTIFACTS : 0;
    struct page page = page_of(work, TASKS_SHOWN);
    struct task task;

    if (task_get(work, task_id, &task) < 0)
        return -1;
    json_t *row = task_detail_new(work, task.id, wanted);
    work->value = row ? json_pack("{s:s, s:o}", "session_id", work->session.session_id, "task", row) : NULL;
    if (!work->value)
        return work->err.code ? -1 : work_no_memory(work);
    task_print(&work->text, row);
    text_print(&work->text, "%s\nSession: %s\n", json_string_value(json_object_get(row, "description")),
               work->session.session_id);
    return tree_add_children(work, row, task.id, &page) < 0 ? -1 : page_end(work, &page, page.has_more);
}

/* The newest ones. */
static int add_completed(struct work *work) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows = sql_query(work,
                                   "SELECT " TASK_COLUMNS " FROM tasks t" TASK_JOINS "WHERE t.session = ?1 AND "
                                   "t.status = 'completed' ORDER BY t.created_at DESC LIMIT ?2",
                                   "ii", work->session.id, (int64_t)COMPLETED_SHOWN + 1);
    json_t *list = json_array();
    int r;

    if (json_object_set_new(work->value, "completed", list) < 0)
        return work_no_memory(work);
    while ((r = sql_next(work, rows)) > 0 && json_array_size(list) < COMPLETED_SHOWN) {
        json_t *row = task_row_new(work, rows, 0);
        if (!row)
            return -1;
        task_print(&work->text, row);
        (void)json_array_append_new(list, row);
    }
    if (r > 0)
        text_print(&work->text, "More are completed: orchestrator_query_tasks with status = [\"completed\"]\n");
    return r < 0 || json_object_set_new(work->value, "completed_has_more", json_boolean(r > 0)) < 0 ? -1 : 0;
}

static int show_all(struct work *work) {
    json_t *progress = session_counts(work, work->session.id);

    if (!progress)
        return -1;
    text_print(&work->text, "Session %s: %lld of %lld tasks completed, %lld open\n", work->session.session_id,
               (long long)json_integer_value(json_object_get(progress, "completed")),
               (long long)json_integer_value(json_object_get(progress, "total")),
               (long long)json_integer_value(json_object_get(progress, "open")));
    work->value = json_pack("{s:s, s:o}", "session_id", work->session.session_id, "progress", progress);
    if (!work->value)
        return work_no_memory(work);
    if (work->session.every)
        return 0; /* the sum of all sessions has no list */
    if (session_add_open(work, work_flag(work, "detail", false) ? ROW_DETAIL : 0, page_of(work, TASKS_SHOWN)) < 0)
        return -1;
    return work_flag(work, "include_completed", false) ? add_completed(work) : 0;
}

int tool_status(struct work *work) {
    const char *task_id = work_string(work, "task_id");
    int r = session_find(work);

    if (r != 0)
        return r;
    return task_id ? show_task(work, task_id) : show_all(work);
}
