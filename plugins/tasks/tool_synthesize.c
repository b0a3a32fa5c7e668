/* orchestrator_synthesize_results: what the children of a task have brought, put together. */
#include "artifact.h"
#include "page.h"
#include "session.h"
#include "task.h"
#include "tool.h"
#include "words.h"

const char synthesize_input[] = INPUT("\"parent_task_id\": {\"type\": \"string\", \"minLength\": 1}, " DETAIL
                                      ", " PAGE_INPUT("100") ", " SESSION_ID,
                                      "\"parent_task_id\"");
const char synthesize_output[] =
    OUTPUT("\"parent_task_id\": " STRING ", \"title\": " STRING ", \"status\": " STRING ", \"complete\": {\"type\": "
           "\"boolean\", \"description\": \"is every child over?\"}, \"progress\": " OBJECT ", \"results\": " LIST
           ", \"open\": " LIST ", \"open_count\": " INTEGER ", \"open_has_more\": " BOOLEAN ", " PAGE_OUTPUT,
           "\"session_id\", \"parent_task_id\", \"complete\", \"results\", \"open\", \"has_more\"");

enum { RESULTS_SHOWN = 100, OPEN_SHOWN = 100, ARTIFACTS_SHOWN = 20 };

static json_t *result_new(struct work *work, sqlite3_stmt *row, bool whole) {
    json_t *artifacts = artifact_list_new(work, sqlite3_column_int64(row, 0), ARTIFACTS_SHOWN + 1, whole);

    if (!artifacts)
        return NULL;
    bool has_more = json_array_size(artifacts) > ARTIFACTS_SHOWN;
    if (has_more)
        (void)json_array_remove(artifacts, 0); /* the oldest */
    return json_pack("{s:s, s:s, s:s, s:s*, s:o, s:o*}", "task_id", sql_text(row, 1), "title", sql_text(row, 2),
                     "status", sql_text(row, 3), "summary", sql_text(row, 4), "artifacts", artifacts,
                     "artifacts_has_more", has_more ? json_true() : NULL);
}

/* A child that has brought something has a result, whatever its state. */
static int add_results(struct work *work, int64_t parent, bool whole) {
    struct page page = page_of(work, RESULTS_SHOWN);
    CLEANUP(sql_done)
    sqlite3_stmt *rows =
        sql_query(work,
                  "SELECT id, task_id, title, status, summary FROM tasks WHERE parent = ?1 AND (status = 'completed' "
                  "OR summary IS NOT NULL) ORDER BY id LIMIT ?2 OFFSET ?3",
                  "iii", parent, page.limit + 1, page.offset);
    json_t *results = json_object_get(work->value, "results");
    int r;

    while ((r = sql_next(work, rows)) > 0 && (r = page_add(work, &page, results, result_new(work, rows, whole))) == 0)
        text_print(&work->text, "## %s (%s, %s)\n%s\n", sql_text(rows, 2), sql_text(rows, 1), sql_text(rows, 3),
                   sql_text(rows, 4) ? sql_text(rows, 4) : "");
    return page_end(work, &page, r);
}

/* Those that are not over, counted; the first of them by name. */
static int add_open(struct work *work, int64_t parent) {
    struct page page = {.limit = OPEN_SHOWN};
    CLEANUP(sql_done)
    sqlite3_stmt *rows =
        sql_query(work,
                  "SELECT task_id, title, status, count(*) OVER () FROM tasks WHERE parent = ?1 AND status IN "
                  "('pending', 'in_progress', 'blocked', 'failed') ORDER BY id LIMIT ?2",
                  "ii", parent, page.limit + 1);
    json_t *open = json_object_get(work->value, "open");
    int64_t count = 0;
    int r;

    while ((r = sql_next(work, rows)) > 0) {
        count = sqlite3_column_int64(rows, 3);
        r = page_add(work, &page, open,
                     json_pack("{s:s, s:s, s:s}", "task_id", sql_text(rows, 0), "title", sql_text(rows, 1), "status",
                               sql_text(rows, 2)));
        if (r != 0)
            break;
    }
    if (r < 0)
        return -1;
    return json_object_set_new(work->value, "complete", json_boolean(count == 0)) < 0 ||
                   json_object_set_new(work->value, "open_count", json_integer((json_int_t)count)) < 0 ||
                   (r > 0 && json_object_set_new(work->value, "open_has_more", json_true()) < 0)
               ? work_no_memory(work)
               : 0;
}

static void print_open(struct work *work) {
    const json_t *open = json_object_get(work->value, "open"), *one;
    size_t i;

    if (json_array_size(open) > 0)
        text_print(&work->text, "## Not done yet\n");
    json_array_foreach (open, i, one)
        text_print(&work->text, "- %s [%s] %s\n", json_string_value(json_object_get(one, "task_id")),
                   json_string_value(json_object_get(one, "status")), json_string_value(json_object_get(one, "title")));
    if (json_object_get(work->value, "open_has_more"))
        text_print(&work->text, "… of %lld: orchestrator_query_tasks with parent_task_id shows them\n",
                   (long long)json_integer_value(json_object_get(work->value, "open_count")));
    text_print(&work->text, "Session: %s", work->session.session_id);
}

int tool_synthesize(struct work *work) {
    const char *parent_id = work_string(work, "parent_task_id");
    struct task parent;
    int r = task_find(work, parent_id, &parent);

    if (r != 0)
        return r;
    json_auto_t *row = task_detail_new(work, parent.id, 0);
    if (!row)
        return -1;
    const char *title = json_string_value(json_object_get(row, "title"));
    work->value = json_pack("{s:s, s:s, s:s, s:s, s:O*, s:[], s:[]}", "session_id", work->session.session_id,
                            "parent_task_id", parent_id, "title", title, "status", status_name(parent.status),
                            "progress", json_object_get(row, "progress"), "results", "open");
    text_print(&work->text, "# %s\n", title);
    if (!work->value || add_results(work, parent.id, work_flag(work, "detail", false)) < 0 ||
        add_open(work, parent.id) < 0)
        return work->err.code ? -1 : work_no_memory(work);
    print_open(work);
    return 0;
}
