#include "tree.h"

enum { DEPENDENCIES_SHOWN = 100 };

static int add_progress(struct work *work, json_t *row, int64_t total, int64_t completed, int64_t open) {
    int64_t wanted = open + completed;
    json_t *progress =
        json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)total, "completed", (json_int_t)completed, "open",
                  (json_int_t)open, "percent", (json_int_t)(wanted ? 100 * completed / wanted : 0));

    return progress && json_object_set_new(row, "progress", progress) == 0 ? 0 : work_no_memory(work);
}

int tree_add_progress(struct work *work, json_t *row, int64_t id) {
    CLEANUP(sql_done)
    sqlite3_stmt *counts = sql_query(work,
                                     "SELECT count(*), sum(status = 'completed'), "
                                     "sum(status IN ('pending', 'in_progress', 'blocked', 'failed')) "
                                     "FROM tasks WHERE parent = ?1",
                                     "i", id);

    if (sql_next(work, counts) <= 0)
        return -1;
    int64_t total = sqlite3_column_int64(counts, 0);
    return total == 0
               ? 0
               : add_progress(work, row, total, sqlite3_column_int64(counts, 1), sqlite3_column_int64(counts, 2));
}

/* The rows of a statement, task_id, short title and status, as a list. New reference; NULL: `err`. */
static json_t *list_new(struct work *work, sqlite3_stmt *rows, struct page *page) {
    json_t *list = json_array();
    int r = list ? 0 : work_no_memory(work);

    while (r == 0 && (r = sql_next(work, rows)) > 0)
        r = page_add(work, page, list,
                     json_pack("{s:s, s:o, s:s}", "task_id", sql_text(rows, 0), "title",
                               task_title_new(sql_text(rows, 1)), "status", sql_text(rows, 2)));
    page->has_more = r == PAGE_FULL;
    if (r >= 0)
        return list;
    json_decref(list);
    return NULL;
}

static int set_list(struct work *work, json_t *row, const char *key, json_t *list, const struct page *page) {
    CLEANUP(text_fini) struct text more = {0};

    text_print(&more, "%s_has_more", key);
    if (more.failed || json_object_set_new(row, key, list) < 0 ||
        (page->has_more && json_object_set_new(row, more.data, json_true()) < 0))
        return work_no_memory(work);
    return 0;
}

int tree_add_children(struct work *work, json_t *row, int64_t id, struct page *page) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows =
        sql_query(work, "SELECT task_id, title, status FROM tasks WHERE parent = ?1 ORDER BY id LIMIT ?2 OFFSET ?3",
                  "iii", id, page->limit + 1, page->offset);
    json_t *list = list_new(work, rows, page);

    return list ? set_list(work, row, "children", list, page) : -1;
}

/* Sets `key` unless the list is empty. */
static int add_list(struct work *work, json_t *row, const char *key, sqlite3_stmt *rows) {
    struct page page = {.limit = DEPENDENCIES_SHOWN};
    json_t *list = list_new(work, rows, &page);

    if (!list)
        return -1;
    if (json_array_size(list) > 0)
        return set_list(work, row, key, list, &page);
    json_decref(list);
    return 0;
}

int tree_add_dependencies(struct work *work, json_t *row, int64_t id) {
    CLEANUP(sql_done)
    sqlite3_stmt *before = sql_query(work,
                                     "SELECT p.task_id, p.title, p.status FROM task_dependencies d "
                                     "JOIN tasks p ON p.id = d.prerequisite WHERE d.task = ?1 ORDER BY p.id",
                                     "i", id);
    CLEANUP(sql_done)
    sqlite3_stmt *behind = sql_query(work,
                                     "SELECT t.task_id, t.title, t.status FROM task_dependencies d "
                                     "JOIN tasks t ON t.id = d.task WHERE d.prerequisite = ?1 ORDER BY t.id",
                                     "i", id);

    return add_list(work, row, "dependencies", before) < 0 || add_list(work, row, "dependents", behind) < 0 ? -1 : 0;
}

int tree_check_wait(struct work *work, const char *prerequisite_id, int64_t parent, int64_t prerequisite) {
    int64_t circle = 0;

    if (parent && sql_number(work, 0, &circle,
                             "WITH RECURSIVE awaited (id) AS (VALUES (?1) UNION "
                             "SELECT d.prerequisite FROM awaited a JOIN task_dependencies d ON d.task = a.id UNION "
                             "SELECT c.id FROM awaited a JOIN tasks c ON c.parent = a.id) "
                             "SELECT 1 FROM awaited WHERE id = ?2",
                             "ii", prerequisite, parent) < 0)
        return -1;
    if (circle)
        return work_refuse(work,
                           "the task cannot depend on '%.40s': that would be a cycle, for that task waits for its "
                           "parent (a task waits for its prerequisites, a parent for its children)",
                           prerequisite_id);
    return 0;
}

int tree_count_dependents(struct work *work, int64_t id, int64_t *ret_dependents, int64_t *ret_children) {
    if (sql_number(work, 0, ret_dependents,
                   "SELECT count(*) FROM task_dependencies d JOIN tasks t ON t.id = d.task WHERE d.prerequisite = ?1 "
                   "AND t.status NOT IN ('completed', 'cancelled', 'archived')",
                   "i", id) < 0)
        return -1;
    return sql_number(work, 0, ret_children, "SELECT count(*) FROM tasks WHERE parent = ?1", "i", id);
}
