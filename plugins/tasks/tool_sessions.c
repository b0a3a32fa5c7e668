/* Making, listing, resuming and looking at sessions. */
#include <string.h>

#include "page.h"
#include "session.h"
#include "session_row.h"
#include "sql.h"
#include "task.h"
#include "tool.h"
#include "words.h"

const char initialize_input[] =
    INPUT("\"working_directory\": {\"type\": \"string\", \"minLength\": 1, \"description\": \"where the work is; "
          "default: the client's directory\"}",
          "");
const char initialize_output[] =
    OUTPUT("\"working_directory\": " STRING ", \"created_at\": " STRING, "\"session_id\", \"working_directory\"");

const char list_sessions_input[] =
    INPUT("\"include_completed\": {\"type\": \"boolean\", \"default\": false}, \"limit\": {\"type\": \"integer\", "
          "\"minimum\": 1, \"maximum\": 1000, \"default\": 10}, \"offset\": {\"type\": \"integer\", \"minimum\": 0, "
          "\"default\": 0}, \"session_id\": {\"const\": \"*\", \"description\": \"those of every directory\"}",
          "");
const char list_sessions_output[] =
    OUTPUT("\"sessions\": " LIST ", \"has_more\": " BOOLEAN ", \"next_offset\": {\"type\": [\"integer\", \"null\"]}",
           "\"sessions\", \"has_more\", \"next_offset\"");

const char resume_input[] = INPUT("\"session_id\": " STRING, "\"session_id\"");
const char resume_output[] =
    OUTPUT("\"working_directory\": " STRING ", \"status\": " STRING ", \"progress\": " OBJECT ", \"tasks\": " LIST
           ", \"has_more\": " BOOLEAN ", \"next_offset\": {\"type\": [\"integer\", \"null\"]}",
           "\"session_id\", \"progress\", \"tasks\"");

const char session_status_input[] =
    INPUT("\"session_id\": " STRING ", " DETAIL ", " PAGE_INPUT("50"), "\"session_id\"");
const char session_status_output[] =
    OUTPUT("\"working_directory\": " STRING ", \"status\": " STRING ", \"progress\": " OBJECT ", \"tasks\": " LIST
           ", \"has_more\": " BOOLEAN ", \"next_offset\": {\"type\": [\"integer\", \"null\"]}",
           "\"session_id\", \"progress\", \"tasks\"");

int tool_initialize(struct work *work) {
    const char *given = work_string(work, "working_directory");
    CLEANUP(text_fini) struct text directory = {0};

    session_directory(work, given ? given : theseus_client(work->call)->directory, &directory);
    if (directory.failed)
        return work_no_memory(work);
    const char *path = directory.data ? directory.data : "";
    if (session_make(work, path) < 0 || session_choose(work) < 0)
        return -1;
    work->value = json_pack("{s:s, s:s}", "session_id", work->session.session_id, "working_directory", path);
    task_set_time(work->value, "created_at", work->now);
    text_print(&work->text,
               "Session %s for %s is the one in use now. Plan with orchestrator_plan_task, work with "
               "orchestrator_execute_task and orchestrator_complete_task.",
               work->session.session_id, path);
    return 0;
}

static int list(struct work *work, bool every, bool all) {
    struct page page = page_of(work, 10);
    CLEANUP(sql_done)
    sqlite3_stmt *rows = sql_query(
        work,
        "SELECT " SESSION_COLUMNS " FROM task_sessions s WHERE (?1 OR s.directory = ?2 OR s.origin = ?2) AND "
        "(?3 OR (s.state = 'open' AND NOT " SESSION_COMPLETED ")) ORDER BY s.updated_at DESC, s.id DESC "
        "LIMIT ?4 OFFSET ?5",
        "isiii", (int64_t)every, theseus_client(work->call)->directory, (int64_t)all, page.limit + 1, page.offset);
    json_t *sessions = json_object_get(work->value, "sessions");
    int r;

    while ((r = sql_next(work, rows)) > 0 && (r = page_add(work, &page, sessions, session_row_new(rows))) == 0)
        session_print(&work->text, json_array_get(sessions, json_array_size(sessions) - 1));
    if (r == 0 && json_array_size(sessions) == 0)
        text_print(&work->text, "There is none%s.\n", every ? "" : " of this directory; session_id = * lists all");
    return page_end(work, &page, r);
}

int tool_list_sessions(struct work *work) {
    bool every = work_string(work, "session_id") != NULL;

    if (session_look(work) < 0)
        return -1;
    work->value = json_pack("{s:[]}", "sessions");
    if (!work->value)
        return work_no_memory(work);
    return list(work, every, work_flag(work, "include_completed", false));
}

enum { OPEN_SHOWN = 50 };

/* The session's own row, and what is to be done in it. */
static int show(struct work *work, unsigned wanted) {
    CLEANUP(sql_done)
    sqlite3_stmt *row =
        sql_query(work, "SELECT " SESSION_COLUMNS " FROM task_sessions s WHERE s.id = ?1", "i", work->session.id);

    if (sql_next(work, row) <= 0)
        return -1;
    work->value = session_row_new(row);
    json_t *counts = work->value ? session_counts(work, work->session.id) : NULL;
    if (!counts || json_object_set_new(work->value, "progress", counts) < 0)
        return work->err.code ? -1 : work_no_memory(work);
    session_print(&work->text, work->value);
    return session_add_open(work, wanted, page_of(work, OPEN_SHOWN));
}

int tool_resume(struct work *work) {
    if (session_get(work, work_string(work, "session_id")) < 0 || session_choose(work) < 0 ||
        sql_run(work, "UPDATE task_sessions SET state = 'open', updated_at = ?2 WHERE id = ?1", "ii", work->session.id,
                work->now) < 0)
        return -1;
    text_print(&work->text, "This session is the one in use now:\n");
    return show(work, 0);
}

int tool_session_status(struct work *work) {
    if (session_get(work, work_string(work, "session_id")) < 0)
        return -1;
    return show(work, work_flag(work, "detail", false) ? ROW_DETAIL : 0);
}
