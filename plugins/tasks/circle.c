/*
 * Circles of waiting: a task waits for its prerequisites, and a parent for its children. None can be made through the
 * tools; a database that was imported or written by others may have them.
 *
 * All edges of the scope are read once and walked depth-first. An edge back to a task that is still on the path closes
 * a circle, and is the one that mending cuts.
 */
#include <stdlib.h>

#include "scan.h"
#include "sql.h"

struct edge {
    int64_t from, to; /* `from` waits for `to` */
    bool is_child;
};

struct edges {
    struct edge *list; /* owned, sorted by `from` */
    char *state;       /* owned: of the task `from` of each first edge: 0 not seen, 1 on the path, 2 done */
    size_t count, capacity;
};

static void edges_fini(struct edges *edges) {
    free(edges->list);
    free(edges->state);
}

static int push(struct work *work, struct edges *edges, struct edge edge) {
    if (edges->count == edges->capacity) {
        size_t capacity = edges->capacity ? 2 * edges->capacity : 256;
        struct edge *list = reallocarray(edges->list, capacity, sizeof(*list));
        if (!list)
            return work_no_memory(work);
        edges->list = list;
        edges->capacity = capacity;
    }
    edges->list[edges->count++] = edge;
    return 0;
}

static int read_edges(struct scan *scan, struct edges *edges, const char *select, bool is_child) {
    CLEANUP(text_fini) struct text sql = {0};
    int r;

    scan_print_sql(scan, &sql, select, "");
    if (sql.failed)
        return work_no_memory(scan->work);
    CLEANUP(sql_done) sqlite3_stmt *rows = sql_query(scan->work, sql.data, "i", scan->id);
    while ((r = sql_next(scan->work, rows)) > 0)
        if (push(scan->work, edges,
                 (struct edge){sqlite3_column_int64(rows, 0), sqlite3_column_int64(rows, 1), is_child}) < 0)
            return -1;
    return r;
}

static int compare(const void *a, const void *b) {
    const struct edge *x = a, *y = b;

    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

/* The first edge of a task; `count`: it has none, and ends every path. */
static size_t first_of(const struct edges *edges, int64_t task) {
    size_t low = 0, high = edges->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (edges->list[middle].from < task)
            low = middle + 1;
        else
            high = middle;
    }
    return low < edges->count && edges->list[low].from == task ? low : edges->count;
}

static int cut(struct scan *scan, const struct edge *edge) {
    CLEANUP(sql_done)
    sqlite3_stmt *names =
        sql_query(scan->work, "SELECT a.task_id, b.task_id FROM tasks a, tasks b WHERE a.id = ?1 AND b.id = ?2", "ii",
                  edge->from, edge->to);

    if (sql_next(scan->work, names) <= 0)
        return scan->work->err.code ? -1 : 0;
    if (scan->mends &&
        (edge->is_child ? sql_run(scan->work, "UPDATE tasks SET parent = NULL WHERE id = ?1", "i", edge->to)
                        : sql_run(scan->work, "DELETE FROM task_dependencies WHERE task = ?1 AND prerequisite = ?2",
                                  "ii", edge->from, edge->to)) < 0)
        return -1;
    return scan_note(scan, "cycle", sql_text(names, 0), scan->mends, "it waits for %s, which waits for it%s",
                     sql_text(names, 1), edge->is_child ? " (a parent waits for its children)" : "");
}

/* A task on the path: its first edge, and the next one to look at. */
struct step {
    size_t first, at;
};

static bool is_behind(const struct edges *edges, struct step step) {
    return step.at == edges->count || edges->list[step.at].from != edges->list[step.first].from;
}

/* Everything that can be reached from the task of edge `start`. `path` has room for every task. */
static int walk(struct scan *scan, struct edges *edges, struct step *path, size_t start) {
    size_t depth = 1;

    path[0] = (struct step){start, start};
    edges->state[start] = 1;
    while (depth > 0) {
        struct step *step = &path[depth - 1];
        if (is_behind(edges, *step)) {
            edges->state[step->first] = 2;
            depth--;
            continue;
        }
        const struct edge *edge = &edges->list[step->at++];
        size_t next = first_of(edges, edge->to);
        if (next < edges->count && edges->state[next] == 0) {
            edges->state[next] = 1;
            path[depth++] = (struct step){next, next};
        } else if (next < edges->count && edges->state[next] == 1 && cut(scan, edge) < 0) {
            return -1;
        }
    }
    return 0;
}

static int walk_all(struct scan *scan, struct edges *edges) {
    CLEANUP(memory_free) struct step *path = calloc(edges->count + 1, sizeof(*path));

    edges->state = calloc(edges->count + 1, 1);
    if (!path || !edges->state)
        return work_no_memory(scan->work);
    for (size_t i = 0; i < edges->count; i++)
        if (edges->state[i] == 0 && first_of(edges, edges->list[i].from) == i && walk(scan, edges, path, i) < 0)
            return -1;
    return 0;
}

int scan_circles(struct scan *scan) {
    CLEANUP(edges_fini) struct edges edges = {0};

    if (read_edges(scan, &edges, "SELECT d.task, d.prerequisite FROM tasks t JOIN task_dependencies d ON d.task = t.id",
                   false) < 0 ||
        read_edges(scan, &edges, "SELECT c.parent, c.id FROM tasks t JOIN tasks c ON c.parent = t.id", true) < 0)
        return -1;
    if (edges.count > 0)
        qsort(edges.list, edges.count, sizeof(*edges.list), compare);
    return walk_all(scan, &edges);
}
