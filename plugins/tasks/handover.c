#include "handover.h"

#include <string.h>

#include "clock.h"
#include "file.h"
#include "session.h"
#include "sql.h"
#include "transition.h"

enum { LISTED = 200 }; /* tasks of one state */

static const struct {
    enum status status;
    const char *title;
} parts[] = {
    {STATUS_IN_PROGRESS, "In progress"}, {STATUS_BLOCKED, "Blocked"},     {STATUS_FAILED, "Failed"},
    {STATUS_PENDING, "To be done"},      {STATUS_COMPLETED, "Completed"}, {STATUS_CANCELLED, "Cancelled"},
};

/* One line, whatever is in it. */
static void print_line(struct text *into, const char *text) {
    for (size_t len; *text; text += len) {
        len = strcspn(text, "\r\n");
        text_add(into, text, len);
        if (text[len]) {
            text_add(into, " ", 1);
            len++;
        }
    }
}

static void print_task(struct text *into, sqlite3_stmt *row) {
    text_print(into, "- `%s` ", sql_text(row, 0));
    print_line(into, sql_text(row, 1));
    text_print(into, " (%s)", sql_text(row, 2));
    if (sql_text(row, 3)) {
        text_print(into, ": ");
        print_line(into, sql_text(row, 3));
    }
    if (sql_text(row, 4))
        text_print(into, "; waits for %s", sql_text(row, 4));
    text_print(into, "\n");
}

static int print_part(struct work *work, struct text *into, size_t part) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows = sql_query(work,
                                   "SELECT t.task_id, t.title, t.specialist_type, coalesce(t.reason, t.summary), "
                                   "(SELECT group_concat(p.task_id, ', ') FROM task_dependencies d JOIN tasks p ON "
                                   "p.id = d.prerequisite WHERE d.task = t.id AND p.completed_at IS NULL) "
                                   "FROM tasks t WHERE t.session = ?1 AND t.status = ?2 ORDER BY t.created_at LIMIT ?3",
                                   "isi", work->session.id, status_name(parts[part].status), (int64_t)LISTED + 1);
    int r, count = 0;

    while ((r = sql_next(work, rows)) > 0 && count < LISTED) {
        if (count++ == 0)
            text_print(into, "\n## %s\n\n", parts[part].title);
        print_task(into, rows);
    }
    if (r > 0)
        text_print(into, "- and more: `orchestrator_query_tasks` lists them\n");
    return r < 0 ? -1 : 0;
}

static int print_head(struct work *work, struct text *into) {
    json_auto_t *counts = session_counts(work, work->session.id);
    char now[CLOCK_TEXT];

    if (!counts)
        return -1;
    clock_print(work->now, now);
    text_print(into,
               "# Hand-over\n\nSession `%s`, as of %s: %lld of %lld tasks completed, %lld open. To go on: "
               "`orchestrator_resume_session` with this session_id.\n",
               work->session.session_id, now, (long long)json_integer_value(json_object_get(counts, "completed")),
               (long long)json_integer_value(json_object_get(counts, "total")),
               (long long)json_integer_value(json_object_get(counts, "open")));
    return 0;
}

int handover_print(struct work *work, struct text *into) {
    if (print_head(work, into) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (print_part(work, into, i) < 0)
            return -1;
    return into->failed ? work_no_memory(work) : 0;
}

static int read_directory(struct work *work, struct text *into) {
    CLEANUP(sql_done)
    sqlite3_stmt *row =
        sql_query(work, "SELECT directory FROM task_sessions WHERE id = ?1 AND directory <> ''", "i", work->session.id);
    int r = sql_next(work, row);

    if (r == 0)
        return work_refuse(work, "session '%s' has no directory to put a file into", work->session.session_id);
    if (r > 0)
        text_print(into, "%s/.task_orchestrator", sql_text(row, 0));
    return r < 0 ? -1 : 0;
}

int handover_write(struct work *work, const struct text *markdown, struct text *path) {
    CLEANUP(text_fini) struct text directory = {0}, name = {0};
    struct theseus_error err = {0};

    if (read_directory(work, &directory) < 0)
        return -1;
    text_print(&name, "handover-%s.md", work->session.session_id);
    text_print(path, "%s/%s", directory.data, name.data);
    if (directory.failed || name.failed || path->failed)
        return work_no_memory(work);
    if (file_replace(directory.data, name.data, markdown->data, markdown->len, &err) < 0)
        return work_refuse(work, "the hand-over is not written: %s", err.message);
    return sql_run(work, "UPDATE task_sessions SET handover = ?2 WHERE id = ?1", "is", work->session.id, path->data);
}
