/*
 * orchestrator_query_tasks: tasks by what they are and what is said in them, in the order in which they were planned.
 *
 * Which index leads decides whether an answer out of 100,000 tasks takes a millisecond or a tenth of a second. So each
 * state is read by itself, through the index that has a session's tasks of one state in their order, and the streams
 * are merged; a search begins with the full-text index, in the order of rows. All other conditions are looked at row by
 * row, and reading ends with the page.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "page.h"
#include "search.h"
#include "session.h"
#include "session_row.h"
#include "task.h"
#include "tasks.h"
#include "tool.h"
#include "words.h"

#define WORDS(name, values) "\"" name "\": {\"type\": \"array\", \"items\": {\"enum\": " values "}}"

const char query_input[] = INPUT(
    WORDS("status", WORDS_STATUS) ", " WORDS("task_type", WORDS_TASK_TYPE) ", " WORDS("specialist_type", WORDS_SPECIALIST) ", " WORDS(
        "complexity",
        WORDS_COMPLEXITY) ", "
                          "\"parent_task_id\": {\"type\": \"string\", \"description\": \"children of this task\"}, "
                          "\"search_text\": {\"type\": \"string\", \"description\": \"words of title or description, all of them; "
                          "word* is a beginning, \\\"two words\\\" a phrase\"}, "
                          "\"created_after\": {\"type\": \"string\", \"description\": \"ISO 8601; at this time or later\"}, "
                          "\"created_before\": {\"type\": \"string\", \"description\": \"ISO 8601; before this time\"}, "
                          "\"include_children\": {\"type\": \"boolean\", \"default\": false}, "
                          "\"include_artifacts\": {\"type\": \"boolean\", \"default\": false}, "
                          "\"limit\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000, \"default\": 100}, "
                          "\"offset\": {\"type\": \"integer\", \"minimum\": 0, \"default\": 0}, " DETAIL
                          ", " SESSION_ID,
    "");

const char query_output[] =
    OUTPUT("\"tasks\": {\"type\": \"array\", \"items\": {\"type\": \"object\", \"properties\": {\"task_id\": " STRING
           ", \"title\": " STRING ", \"status\": " STRING "}, \"required\": [\"task_id\", \"title\", \"status\"]}}, "
           "\"has_more\": " BOOLEAN ", \"next_offset\": {\"type\": [\"integer\", \"null\"]}",
           "\"session_id\", \"tasks\", \"has_more\", \"next_offset\"");

/* Lists of words as ",a,b,": NULL where all will do. Everything is bound; the text varies with the shape alone. */
struct query {
    struct text task_types, specialists, complexities, match, sql;
    int64_t parent; /* 0: any */
    int64_t after, before;
    struct page page;
    bool searches, every;
    unsigned states; /* bits of enum status; 0: any */
};

static void query_fini(struct query *query) {
    text_fini(&query->task_types);
    text_fini(&query->specialists);
    text_fini(&query->complexities);
    text_fini(&query->match);
    text_fini(&query->sql);
}

/* An empty list is no condition. */
static void read_words(const struct work *work, const char *key, struct text *into) {
    const json_t *list = json_object_get(work->args, key), *word;
    size_t i;

    json_array_foreach (list, i, word)
        text_print(into, "%s%s,", i ? "" : ",", json_string_value(word));
}

static int read_time(struct work *work, const char *key, int64_t missing, int64_t *ret_ms) {
    const char *text = work_string(work, key);

    *ret_ms = missing;
    if (text && !clock_parse(text, ret_ms))
        return work_refuse(work, "%s '%.40s' is no time such as 2026-03-01 or 2026-03-01T09:30:00Z", key, text);
    return 0;
}

static int read_parent(struct work *work, struct query *query) {
    const char *parent_id = work_string(work, "parent_task_id");
    struct task parent;

    if (!parent_id)
        return 0;
    if (task_get(work, parent_id, &parent) < 0)
        return -1;
    query->parent = parent.id;
    query->every = false; /* the session is the parent's now */
    return 0;
}

static int read_query(struct work *work, struct query *query) {
    const char *search = work_string(work, "search_text");
    const json_t *word;
    size_t i;

    query->every = work->session.every;
    if (read_parent(work, query) < 0)
        return -1;
    json_array_foreach (json_object_get(work->args, "status"), i, word)
        query->states |= 1u << status_find(json_string_value(word));
    read_words(work, "task_type", &query->task_types);
    read_words(work, "specialist_type", &query->specialists);
    read_words(work, "complexity", &query->complexities);
    query->searches = search && search[strspn(search, " \t\r\n")];
    if (query->searches)
        search_expression(&query->match, search, work->session.id);
    query->page = page_of(work, 100);
    return read_time(work, "created_after", INT64_MIN, &query->after) < 0 ||
                   read_time(work, "created_before", INT64_MAX, &query->before) < 0
               ? -1
               : 0;
}

/* ---- the statement ---- */

/* ?1 session, ?2 parent, ?3 to ?5 words, ?6 and ?7 times, ?8 match, ?9 limit, ?10 offset */
#define OTHER_CONDITIONS                                                                                 \
    "x.created_at >= ?6 AND x.created_at < ?7 AND (?3 IS NULL OR instr(?3, ',' || x.task_type || ',')) " \
    "AND (?4 IS NULL OR instr(?4, ',' || x.specialist_type || ',')) "                                    \
    "AND (?5 IS NULL OR instr(?5, ',' || x.complexity || ','))"

static void add_parent(const struct query *query, struct text *sql) {
    if (query->parent)
        text_print(sql, "x.parent = ?2 AND ");
}

/* Through the search: its rows come in the order of their numbers, which is that of planning. */
static void add_search(const struct query *query, struct text *sql) {
    text_print(sql, "SELECT x.id AS id, x.id AS place FROM tasks_search f CROSS JOIN tasks x ON x.id = f.rowid "
                    "WHERE f.tasks_search MATCH ?8 AND ");
    if (!query->every)
        text_print(sql, "x.session = ?1 AND ");
    add_parent(query, sql);
    if (query->states) {
        text_print(sql, "x.status IN (''");
        for (enum status status = 0; status < STATUS_COUNT; status++)
            if (query->states & 1u << status)
                text_print(sql, ", '%s'", status_name(status));
        text_print(sql, ") AND ");
    }
    text_print(sql, OTHER_CONDITIONS " ORDER BY f.rowid LIMIT ?9 OFFSET ?10");
}

/* One stream of a session, or all of one after the other; `status` NULL: whatever their state. */
static void add_stream(const struct query *query, const char *status, struct text *sql) {
    text_print(sql, "SELECT x.id AS id, x.created_at AS place, %s AS whose FROM ", query->every ? "o.id" : "x.session");
    if (query->every)
        text_print(sql, "task_sessions o CROSS JOIN tasks x ON x.session = o.id WHERE ");
    else if (query->parent)
        text_print(sql, "tasks x INDEXED BY tasks_parent WHERE x.session = ?1 AND ");
    else
        text_print(sql, "tasks x WHERE x.session = ?1 AND ");
    add_parent(query, sql);
    if (status)
        text_print(sql, "x.status = '%s' AND ", status);
    text_print(sql, OTHER_CONDITIONS);
}

static void add_streams(const struct query *query, struct text *sql) {
    bool is_first = true;

    if (!query->states)
        add_stream(query, NULL, sql);
    for (enum status status = 0; status < STATUS_COUNT; status++)
        if (query->states & 1u << status) {
            text_print(sql, is_first ? "" : " UNION ALL ");
            add_stream(query, status_name(status), sql);
            is_first = false;
        }
    text_print(sql, " ORDER BY whose, place, id LIMIT ?9 OFFSET ?10");
}

static sqlite3_stmt *open_query(struct work *work, struct query *query) {
    struct text *sql = &query->sql;

    text_print(sql, "SELECT " TASK_COLUMNS " FROM (");
    if (query->searches)
        add_search(query, sql);
    else
        add_streams(query, sql);
    text_print(sql, ") found CROSS JOIN tasks t ON t.id = found.id" TASK_JOINS);
    text_print(sql, query->searches ? "ORDER BY found.place" : "ORDER BY found.whose, found.place, found.id");
    if (sql->failed || query->match.failed) {
        (void)work_no_memory(work);
        return NULL;
    }
    return sql_query(work, sql->data, "iosssiisii", work->session.id, query->parent, query->task_types.data,
                     query->specialists.data, query->complexities.data, query->after, query->before, query->match.data,
                     query->page.limit + 1, query->page.offset);
}

/* ---- the answer ---- */

static int add_rows(struct work *work, struct query *query, unsigned wanted) {
    CLEANUP(sql_done) sqlite3_stmt *rows = open_query(work, query);
    json_t *tasks = json_object_get(work->value, "tasks");
    int r;

    while ((r = sql_next(work, rows)) > 0 &&
           (r = page_add(work, &query->page, tasks, task_row_new(work, rows, wanted))) == 0)
        task_print(&work->text, json_array_get(tasks, json_array_size(tasks) - 1));
    if (r == 0 && json_array_size(tasks) == 0)
        text_print(&work->text, "No task of session %s is like that.\n", work->session.session_id);
    return page_end(work, &query->page, r);
}

int tool_query(struct work *work) {
    CLEANUP(query_fini) struct query query = {0};
    unsigned wanted = (work_flag(work, "detail", false) ? ROW_DETAIL : 0) |
                      (work_flag(work, "include_children", false) ? ROW_CHILDREN : 0) |
                      (work_flag(work, "include_artifacts", false) ? ROW_ARTIFACTS : 0);
    int r = session_find(work);

    if (r != 0 || (r = read_query(work, &query)) < 0)
        return r;
    if (query.every)
        wanted |= ROW_SESSION;
    work->value = json_pack("{s:s, s:[]}", "session_id", work->session.session_id, "tasks");
    return work->value ? add_rows(work, &query, wanted) : work_no_memory(work);
}
