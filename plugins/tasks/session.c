#include "session.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "tasks.h"
#include "transition.h"

enum { TOUCH_MS = 1000 }; /* how exactly it is known when a session was used last */

static const char *client_directory(struct work *work) {
    const char *directory = theseus_client(work->call)->directory;

    return directory ? directory : "";
}

/* 1: the row is work->session now; 0: there is none; -1. */
static int take_row(struct work *work, sqlite3_stmt *row) {
    int r = sql_next(work, row);

    if (r <= 0)
        return r;
    work->session = (struct session){.id = sqlite3_column_int64(row, 0), .updated_at = sqlite3_column_int64(row, 2)};
    (void)snprintf(work->session.session_id, ID_TEXT, "%s", sql_text(row, 1));
    return 1;
}

static int by_name(struct work *work, const char *session_id) {
    CLEANUP(sql_done)
    sqlite3_stmt *row =
        sql_query(work, "SELECT id, session_id, updated_at FROM task_sessions WHERE session_id = ?1", "s", session_id);

    return take_row(work, row);
}

static int by_connection(struct work *work) {
    CLEANUP(sql_done)
    sqlite3_stmt *row =
        sql_query(work,
                  "SELECT s.id, s.session_id, s.updated_at FROM task_connections c "
                  "JOIN task_sessions s ON s.id = c.session WHERE c.connection = ?1 AND s.state = 'open'",
                  "s", theseus_client(work->call)->session);

    return take_row(work, row);
}

static int by_directory(struct work *work) {
    CLEANUP(sql_done)
    sqlite3_stmt *row = sql_query(work,
                                  "SELECT id, session_id, updated_at FROM task_sessions "
                                  "WHERE directory = ?1 AND state = 'open' ORDER BY id DESC LIMIT 1",
                                  "s", client_directory(work));

    return take_row(work, row);
}

int session_get(struct work *work, const char *session_id) {
    int r = by_name(work, session_id);

    if (r == 0)
        return work_refuse(work, "there is no session '%.60s'; orchestrator_list_sessions names those that there are",
                           session_id);
    return r < 0 ? -1 : 0;
}

void session_forget(struct tasks *tasks) {
    tasks->memo.connection[0] = '\0';
}

static void remember(struct work *work) {
    struct session_memo *memo = &work->tasks->memo;

    if (!work->writing || !work->session.id)
        return;
    memo->session = work->session;
    (void)snprintf(memo->connection, sizeof(memo->connection), "%s", theseus_client(work->call)->session);
}

static bool recall(struct work *work) {
    const struct session_memo *memo = &work->tasks->memo;

    if (!work->writing || !memo->connection[0] || strcmp(memo->connection, theseus_client(work->call)->session) != 0)
        return false;
    work->session = memo->session;
    return true;
}

int session_look(struct work *work) {
    if (recall(work))
        return 0;
    int r = by_connection(work);
    if (r == 0)
        r = by_directory(work);
    remember(work);
    return r < 0 ? -1 : 0;
}

int session_find(struct work *work) {
    const char *named = work_string(work, "session_id");

    if (named && strcmp(named, "*") == 0) {
        work->session = (struct session){.session_id = "*", .every = true};
        return 0;
    }
    if (named)
        return session_get(work, named);
    if (session_look(work) < 0)
        return -1;
    if (work->session.id)
        return 0;
    return work->writing ? session_make(work, client_directory(work)) : WORK_MUST_WRITE;
}

int session_find_one(struct work *work) {
    int r = session_find(work);

    if (r == 0 && work->session.every)
        return work_refuse(work, "session_id '*' is for questions; name one session, or leave it out");
    return r;
}

int session_make(struct work *work, const char *directory) {
    struct session session = {.updated_at = work->now};

    session_forget(work->tasks);
    id_make(&work->tasks->ids, "session", session.session_id);
    if (sql_run(work,
                "INSERT INTO task_sessions (session_id, directory, origin, state, created_at, updated_at) "
                "VALUES (?1, ?2, ?3, 'open', ?4, ?4)",
                "sssi", session.session_id, directory, client_directory(work), work->now) < 0)
        return -1;
    session.id = sqlite3_last_insert_rowid(theseus_db(work->tasks->ctx));
    work->session = session;
    return 0;
}

int session_choose(struct work *work) {
    session_forget(work->tasks);
    return sql_run(work,
                   "INSERT INTO task_connections (connection, session, chosen_at) VALUES (?1, ?2, ?3) "
                   "ON CONFLICT (connection) DO UPDATE SET session = excluded.session, chosen_at = excluded.chosen_at",
                   "sii", theseus_client(work->call)->session, work->session.id, work->now);
}

int session_touch(struct work *work) {
    if (!work->session.id || work->now - work->session.updated_at < TOUCH_MS)
        return 0;
    session_forget(work->tasks); /* it knows another time */
    return sql_run(work, "UPDATE task_sessions SET updated_at = ?2 WHERE id = ?1 AND updated_at < ?2", "ii",
                   work->session.id, work->now);
}

void session_directory(struct work *work, const char *path, struct text *into) {
    CLEANUP(memory_free) char *real = NULL;

    if (path[0] != '/')
        text_print(into, "%s/%s", client_directory(work), path);
    else
        text_add(into, path, strlen(path));
    if (into->failed)
        return;
    real = realpath(into->data, NULL); /* one that is not there yet is taken as it is written */
    if (real) {
        text_clear(into);
        text_add(into, real, strlen(real));
    }
    while (into->len > 1 && into->data[into->len - 1] == '/')
        into->data[--into->len] = '\0';
}

static json_t *counts_new(const int64_t count[static STATUS_COUNT]) {
    json_t *by_status = json_object();
    int64_t total = 0, open = 0, wanted;

    for (enum status status = 0; status < STATUS_COUNT; status++) {
        total += count[status];
        open += status_is_over(status) ? 0 : count[status];
        if (count[status])
            (void)json_object_set_new(by_status, status_name(status), json_integer(count[status]));
    }
    wanted = open + count[STATUS_COMPLETED];
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "total", (json_int_t)total, "completed",
                     (json_int_t)count[STATUS_COMPLETED], "open", (json_int_t)open, "percent",
                     (json_int_t)(wanted ? 100 * count[STATUS_COMPLETED] / wanted : 0), "by_status", by_status);
}

json_t *session_counts(struct work *work, int64_t id) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows =
        id ? sql_query(work, "SELECT status, count(*) FROM tasks WHERE session = ?1 GROUP BY status", "i", id)
           : sql_query(work, "SELECT status, count(*) FROM tasks GROUP BY status", "");
    int64_t count[STATUS_COUNT] = {0};
    int r;

    while ((r = sql_next(work, rows)) > 0)
        count[status_find(sql_text(rows, 0))] = sqlite3_column_int64(rows, 1);
    if (r < 0)
        return NULL;
    json_t *counts = counts_new(count);
    if (!counts)
        (void)work_no_memory(work);
    return counts;
}
