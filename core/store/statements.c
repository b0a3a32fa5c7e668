#include "store/statements.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "store/db.h"

/* What one component has prepared. */
struct set {
    struct list link;   /* statements::forgotten, once it is */
    struct map *by_sql; /* SQL text -> sqlite3_stmt, owned */
};

struct statements {
    sqlite3 *db;           /* borrowed */
    pthread_mutex_t mutex; /* guards all below */
    struct map *sets;      /* component -> struct set, owned */
    struct list forgotten; /* set::link, owned: to be finalised when nobody is inside `db` */
};

static struct span key_of(const char *text) {
    return (struct span){text, strlen(text)};
}

static void finalize_entry(struct span key, void *value, void *arg) {
    (void)key;
    (void)arg;
    (void)sqlite3_finalize(value); /* repeats the error of its last step, which was reported then */
}

static struct set *set_free(struct set *set) {
    list_remove(&set->link);
    map_each(set->by_sql, finalize_entry, NULL);
    set->by_sql = map_free(set->by_sql);
    free(set);
    return NULL;
}

static void free_entry(struct span key, void *value, void *arg) {
    (void)key;
    (void)arg;
    (void)set_free(value);
}

/* With the mutex. Never waits: `db` may be in use for as long as a query takes. */
static void finalize_forgotten(struct statements *statements) {
    sqlite3_mutex *in_use = sqlite3_db_mutex(statements->db);

    if (list_empty(&statements->forgotten) || sqlite3_mutex_try(in_use) != SQLITE_OK)
        return;
    list_for_each (link, &statements->forgotten)
        (void)set_free(list_entry(link, struct set, link));
    sqlite3_mutex_leave(in_use);
}

struct statements *statements_new(sqlite3 *db) {
    struct statements *statements = xcalloc(1, sizeof(*statements));

    statements->db = db;
    statements->sets = map_new();
    list_init(&statements->forgotten);
    (void)pthread_mutex_init(&statements->mutex, NULL);
    return statements;
}

struct statements *statements_free(struct statements *statements) {
    if (!statements)
        return NULL;
    map_each(statements->sets, free_entry, NULL);
    statements->sets = map_free(statements->sets);
    list_for_each (link, &statements->forgotten)
        (void)set_free(list_entry(link, struct set, link));
    (void)pthread_mutex_destroy(&statements->mutex);
    free(statements);
    return NULL;
}

static struct set *set_of(struct statements *statements, const char *component) {
    struct set *set = map_get(statements->sets, key_of(component));

    if (set)
        return set;
    set = xcalloc(1, sizeof(*set));
    set->by_sql = map_new();
    (void)map_put(statements->sets, key_of(component), set);
    return set;
}

static int get_locked(struct statements *statements, const char *component, const char *sql,
                      sqlite3_stmt **ret_statement, struct theseus_error *err) {
    struct set *set = set_of(statements, component);
    sqlite3_stmt *statement = map_get(set->by_sql, key_of(sql));

    if (statement) {
        (void)sqlite3_reset(statement); /* repeats the error of its last step, which was reported then */
        (void)sqlite3_clear_bindings(statement);
    } else {
        if (map_count(set->by_sql) >= STATEMENTS_MAX)
            return fail(err, ERR_LIMIT, "more than %d different SQL texts: bind values instead of writing them in",
                        STATEMENTS_MAX);
        if (db_prepare(statements->db, sql, &statement, err) < 0)
            return -1;
        (void)map_put(set->by_sql, key_of(sql), statement);
    }
    *ret_statement = statement;
    return 0;
}

int statements_get(struct statements *statements, const char *component, const char *sql, sqlite3_stmt **ret_statement,
                   struct theseus_error *err) {
    (void)pthread_mutex_lock(&statements->mutex);
    finalize_forgotten(statements);
    int r = get_locked(statements, component, sql, ret_statement, err);
    (void)pthread_mutex_unlock(&statements->mutex);
    return r < 0 ? error_prefix(err, "component '%s': ", component) : 0;
}

void statements_forget(struct statements *statements, const char *component) {
    (void)pthread_mutex_lock(&statements->mutex);
    struct set *set = map_take(statements->sets, key_of(component));
    if (set)
        list_append(&statements->forgotten, &set->link);
    finalize_forgotten(statements);
    (void)pthread_mutex_unlock(&statements->mutex);
}
