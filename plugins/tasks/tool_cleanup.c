/*
 * orchestrator_cleanup_sessions: sessions that nobody needs are put out of the way. Nothing is lost by it: a session
 * with tasks is archived and comes back by orchestrator_resume_session; only one in which nothing was ever planned is
 * deleted.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "session.h"
#include "session_row.h"
#include "sql.h"
#include "tool.h"
#include "words.h"

const char cleanup_input[] =
    INPUT("\"cleanup_type\": {\"enum\": [\"completed\", \"orphaned\", \"old\", \"all\"], \"default\": \"completed\", "
          "\"description\": \"orphaned: nothing was planned in it, or its directory is gone; all: any of the three\"}, "
          "\"older_than_days\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 36500, \"default\": 7, "
          "\"description\": \"old: not used for so many days\"}, \"dry_run\": {\"type\": \"boolean\", \"default\": "
          "true}, \"session_id\": {\"const\": \"*\", \"description\": \"those of every directory\"}",
          "");
const char cleanup_output[] = OUTPUT("\"cleanup_type\": " STRING ", \"dry_run\": " BOOLEAN ", \"sessions\": " LIST
                                     ", \"total\": " INTEGER ", \"has_more\": " BOOLEAN,
                                     "\"cleanup_type\", \"dry_run\", \"sessions\", \"total\", \"has_more\"");

enum { IN_USE_MS = 3600 * 1000, DAY_MS = 24 * 3600 * 1000, SHOWN = 100 };

struct cleanup {
    const char *type;
    int64_t older_than; /* ms */
    bool dry_run;
    json_t *sessions; /* borrowed */
    int64_t total;
};

static bool wants(const struct cleanup *cleanup, const char *type) {
    return strcmp(cleanup->type, type) == 0 || strcmp(cleanup->type, "all") == 0;
}

/* Not merely out of reach. */
static bool is_gone(const char *directory) {
    return access(directory, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* Columns behind SESSION_COLUMNS: was it chosen by a connection lately? NULL: it stays. */
static const char *reason(const struct cleanup *cleanup, sqlite3_stmt *row) {
    const char *directory = sql_text(row, 2);
    bool is_empty = sqlite3_column_int64(row, 7) == 0, is_in_use = sqlite3_column_int(row, 9);

    if (wants(cleanup, "completed") && strcmp(sql_text(row, 3), "completed") == 0)
        return "completed";
    if (wants(cleanup, "orphaned") && is_empty && !is_in_use)
        return "orphaned: nothing was planned in it";
    if (wants(cleanup, "orphaned") && *directory && is_gone(directory))
        return "orphaned: its directory is gone";
    if (wants(cleanup, "old") && sqlite3_column_int64(row, 5) <= cleanup->older_than)
        return "old";
    return NULL;
}

static int put_away(struct work *work, int64_t id, bool is_empty) {
    session_forget(work->tasks);
    return is_empty ? sql_run(work, "DELETE FROM task_sessions WHERE id = ?1", "i", id)
                    : sql_run(work, "UPDATE task_sessions SET state = 'archived' WHERE id = ?1", "i", id);
}

static int take(struct work *work, struct cleanup *cleanup, sqlite3_stmt *row, const char *why) {
    bool is_empty = sqlite3_column_int64(row, 7) == 0;

    cleanup->total++;
    if (json_array_size(cleanup->sessions) < SHOWN) {
        json_t *one = json_pack("{s:s, s:s, s:s, s:I, s:s}", "session_id", sql_text(row, 1), "working_directory",
                                sql_text(row, 2), "reason", why, "tasks_total",
                                (json_int_t)sqlite3_column_int64(row, 7), "action", is_empty ? "deleted" : "archived");
        if (json_array_append_new(cleanup->sessions, one) < 0)
            return work_no_memory(work);
        text_print(&work->text, "%s: %s\n", sql_text(row, 1), why);
    }
    return cleanup->dry_run ? 0 : put_away(work, sqlite3_column_int64(row, 0), is_empty);
}

static int clean(struct work *work, struct cleanup *cleanup, bool every) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows = sql_query(
        work,
        "SELECT " SESSION_COLUMNS ", EXISTS (SELECT 1 FROM task_connections c WHERE c.session = s.id AND c.chosen_at > "
        "?3) FROM task_sessions s WHERE s.id IN (SELECT id FROM task_sessions WHERE state = 'open' AND "
        "(?1 OR directory = ?2 OR origin = ?2)) ORDER BY s.id",
        "isi", (int64_t)every, theseus_client(work->call)->directory, work->now - IN_USE_MS);
    int r;

    while ((r = sql_next(work, rows)) > 0) {
        const char *why = reason(cleanup, rows);
        if (why && take(work, cleanup, rows, why) < 0)
            return -1;
    }
    return r;
}

int tool_cleanup(struct work *work) {
    const char *type = work_string(work, "cleanup_type");
    struct cleanup cleanup = {
        .type = type ? type : "completed",
        .older_than = work->now - work_integer(work, "older_than_days", 7) * DAY_MS,
        .dry_run = work_flag(work, "dry_run", true),
        .sessions = json_array(),
    };

    work->value = json_pack("{s:s, s:b, s:o}", "cleanup_type", cleanup.type, "dry_run", cleanup.dry_run, "sessions",
                            cleanup.sessions);
    if (!work->value)
        return work_no_memory(work);
    if (session_look(work) < 0 || clean(work, &cleanup, work_string(work, "session_id") != NULL) < 0)
        return -1;
    text_print(&work->text, "%lld session(s) %s", (long long)cleanup.total,
               cleanup.dry_run ? "would be put away; dry_run = false does it" : "put away");
    if (json_object_set_new(work->value, "total", json_integer((json_int_t)cleanup.total)) < 0 ||
        json_object_set_new(work->value, "has_more", json_boolean(cleanup.total > SHOWN)) < 0)
        return work_no_memory(work);
    return 0;
}
