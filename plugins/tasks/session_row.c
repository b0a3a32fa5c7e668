#include "session_row.h"

#include "task.h"

json_t *session_row_new(sqlite3_stmt *row) {
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:s*}", "session_id", sql_text(row, 1), "working_directory",
                  sql_text(row, 2), "status", sql_text(row, 3), "tasks_total", (json_int_t)sqlite3_column_int64(row, 7),
                  "tasks_completed", (json_int_t)sqlite3_column_int64(row, 8), "handover", sql_text(row, 6));

    if (object) {
        task_set_time(object, "created_at", sqlite3_column_int64(row, 4));
        task_set_time(object, "updated_at", sqlite3_column_int64(row, 5));
    }
    return object;
}

void session_print(struct text *into, const json_t *row) {
    text_print(into, "%s [%s] %s, %lld of %lld tasks completed\n",
               json_string_value(json_object_get(row, "session_id")), json_string_value(json_object_get(row, "status")),
               json_string_value(json_object_get(row, "working_directory")),
               (long long)json_integer_value(json_object_get(row, "tasks_completed")),
               (long long)json_integer_value(json_object_get(row, "tasks_total")));
}

int work_add_more(struct work *work, bool has_more, int64_t next_offset) {
    json_t *next = has_more ? json_integer((json_int_t)next_offset) : json_null();

    if (has_more)
        text_print(&work->text, "There are more: offset = %lld\n", (long long)next_offset);
    if (json_object_set_new(work->value, "has_more", json_boolean(has_more)) < 0 ||
        json_object_set_new(work->value, "next_offset", next) < 0)
        return work_no_memory(work);
    return 0;
}

/* The first of each state by themselves: whoever sorts all of them takes long where there are many. */
#define FIRST(rank, status)                                                                          \
    "SELECT * FROM (SELECT id, " rank " AS rank FROM tasks WHERE session = ?1 AND status = '" status \
    "' ORDER BY created_at LIMIT ?2)"

int session_add_open(struct work *work, unsigned wanted, struct page page) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows =
        sql_query(work,
                  "SELECT " TASK_COLUMNS
                  " FROM (" FIRST("0", "in_progress") " UNION ALL " FIRST("1", "blocked") " UNION ALL " FIRST(
                      "2", "failed") " UNION ALL " FIRST("3", "pending") ") o JOIN tasks t ON t.id = o.id" TASK_JOINS
                                                                         "ORDER BY o.rank, t.id LIMIT ?2 OFFSET ?3",
                  "iii", work->session.id, page.offset + page.limit + 1, page.offset);
    json_t *tasks = json_array();
    int r;

    if (json_object_set_new(work->value, "tasks", tasks) < 0)
        return work_no_memory(work);
    while ((r = sql_next(work, rows)) > 0 && (r = page_add(work, &page, tasks, task_row_new(work, rows, wanted))) == 0)
        task_print(&work->text, json_array_get(tasks, json_array_size(tasks) - 1));
    return page_end(work, &page, r);
}
