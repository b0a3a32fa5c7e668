#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "store/damage.h"
#include "store/db.h"
#include "store/statements.h"
#include "store/version.h"

struct store {
    char *path;
    int key_error;         /* why there is no `key`; 0: there is one */
    pthread_key_t key;     /* the calling thread's struct session */
    pthread_mutex_t mutex; /* guards `sessions`; held for moments, never across SQL */
    struct list sessions;  /* session::link, owned */

    pthread_mutex_t telling; /* held while `told` runs */
    store_mismatch_fn *told; /* NULL: nobody is */
    void *told_arg;
};

/* A component whose version was found good, and as of which change of the database by somebody else. */
struct checked {
    char *component; /* owned */
    unsigned changes;
};

/* What one thread has of the store. */
struct session {
    struct list link;              /* store::sessions */
    struct store *store;           /* borrowed */
    sqlite3 *db;                   /* owned */
    struct statements *statements; /* owned */
    struct checked *checked;       /* owned */
    size_t checked_count;
};

static void lock(const struct store *store) {
    (void)pthread_mutex_lock((pthread_mutex_t *)&store->mutex);
}

static void unlock(const struct store *store) {
    (void)pthread_mutex_unlock((pthread_mutex_t *)&store->mutex);
}

static struct session *session_free(struct session *session) {
    lock(session->store);
    list_remove(&session->link);
    unlock(session->store);
    session->statements = statements_free(session->statements);
    session->db = db_close(session->db);
    for (size_t i = 0; i < session->checked_count; i++)
        free(session->checked[i].component);
    free(session->checked);
    free(session);
    return NULL;
}
DEFINE_CLEANUP(struct session *, session_free)

static void on_thread_end(void *session) {
    (void)session_free(session);
}

static int session_new(struct session **ret_session, struct store *store, struct theseus_error *err) {
    CLEANUP(session_free) struct session *session = xcalloc(1, sizeof(*session));

    session->store = store;
    if (store->key_error)
        return fail(err, ERR_SYSTEM, "cannot keep a connection for each thread: %s", strerror(store->key_error));
    if (db_open(store->path, &session->db, err) < 0)
        return -1;
    session->statements = statements_new(session->db);
    int r = pthread_setspecific(store->key, session);
    if (r)
        return fail(err, ERR_MEMORY, "cannot keep this thread's connection: %s", strerror(r));
    lock(store);
    list_append(&store->sessions, &session->link);
    unlock(store);
    *ret_session = TAKE_PTR(session);
    return 0;
}

/* The calling thread's. */
static int find_session(struct store *store, struct session **ret_session, struct theseus_error *err) {
    struct session *session = store->key_error ? NULL : pthread_getspecific(store->key);

    if (!session)
        return session_new(ret_session, store, err);
    damage_begin();
    *ret_session = session;
    return 0;
}

void store_tune(void) {
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* fails only if it is in use already */
}

struct store *store_new(const char *path) {
    struct store *store = xcalloc(1, sizeof(*store));

    store->path = xstrdup(path);
    store->key_error = pthread_key_create(&store->key, on_thread_end);
    (void)pthread_mutex_init(&store->mutex, NULL);
    (void)pthread_mutex_init(&store->telling, NULL);
    list_init(&store->sessions);
    return store;
}

struct store *store_free(struct store *store) {
    if (!store)
        return NULL;
    if (!store->key_error)
        (void)pthread_key_delete(store->key); /* threads that end from here on find nothing to close */
    list_for_each (link, &store->sessions)
        (void)session_free(list_entry(link, struct session, link));
    (void)pthread_mutex_destroy(&store->mutex);
    (void)pthread_mutex_destroy(&store->telling);
    free(store->path);
    free(store);
    return NULL;
}

const char *store_path(const struct store *store) {
    return store->path;
}

int store_db(struct store *store, struct sqlite3 **ret_db, struct theseus_error *err) {
    struct session *session;

    if (find_session(store, &session, err) < 0)
        return -1;
    *ret_db = session->db;
    return 0;
}

int store_statement(struct store *store, const char *component, const char *sql, struct sqlite3_stmt **ret_statement,
                    struct theseus_error *err) {
    struct session *session;

    if (find_session(store, &session, err) < 0)
        return -1;
    return statements_get(session->statements, component, sql, ret_statement, err);
}

int store_relax(struct store *store, struct theseus_error *err) {
    struct session *session;

    if (find_session(store, &session, err) < 0)
        return -1;
    return db_exec(session->db, "PRAGMA synchronous = NORMAL", err);
}

void store_forget(struct store *store, const char *component) {
    lock(store);
    list_for_each (link, &store->sessions)
        statements_forget(list_entry(link, struct session, link)->statements, component);
    unlock(store);
}

int store_connections(const struct store *store) {
    int count = 0;

    lock(store);
    list_for_each (link, (struct list *)&store->sessions)
        count++;
    unlock(store);
    return count;
}

int store_transactions(const struct store *store) {
    int count = 0;

    lock(store);
    list_for_each (link, (struct list *)&store->sessions)
        count += !sqlite3_get_autocommit(list_entry(link, struct session, link)->db);
    unlock(store);
    return count;
}

/* ---- is the schema what we know? ---- */

void store_on_mismatch(struct store *store, store_mismatch_fn *told, void *arg) {
    (void)pthread_mutex_lock(&store->telling);
    store->told = told;
    store->told_arg = arg;
    (void)pthread_mutex_unlock(&store->telling);
}

void store_tell_mismatch(struct store *store, enum errc code) {
    (void)pthread_mutex_lock(&store->telling);
    if (store->told)
        store->told(store->told_arg, code);
    (void)pthread_mutex_unlock(&store->telling);
}

/* A number that is another one when somebody else has committed, as of the last time that something was read. */
static unsigned changes_of(sqlite3 *db) {
    unsigned changes = 0;

    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_DATA_VERSION, &changes);
    return changes;
}

static struct checked *find_checked(struct session *session, const char *component) {
    for (size_t i = 0; i < session->checked_count; i++)
        if (strcmp(session->checked[i].component, component) == 0)
            return &session->checked[i];
    return NULL;
}

static void note_checked(struct session *session, const char *component) {
    struct checked *checked = find_checked(session, component);

    if (!checked) {
        session->checked = xreallocarray(session->checked, session->checked_count + 1, sizeof(*checked));
        checked = &session->checked[session->checked_count++];
        checked->component = xstrdup(component);
    }
    checked->changes = changes_of(session->db);
}

static int read_version(struct session *session, const char *component, int *ret_version, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *select = NULL;

    if (statements_get(session->statements, "schema_versions",
                       "SELECT version FROM schema_versions WHERE component = ?1", &select, err) < 0)
        return -1;
    (void)sqlite3_bind_text(select, 1, component, -1, SQLITE_STATIC);
    int r = sqlite3_step(select);
    if (r != SQLITE_ROW && r != SQLITE_DONE)
        return db_fail(session->db, err, "cannot read table schema_versions");
    *ret_version = r == SQLITE_ROW ? sqlite3_column_int(select, 0) : 0;
    return 0;
}

bool store_has_failed(struct store *store) {
    const struct session *session = store->key_error ? NULL : pthread_getspecific(store->key);
    int code = session ? sqlite3_errcode(session->db) & 0xff : SQLITE_OK;

    return code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE;
}

/* Nobody migrates while a transaction is open: what it has found stays so. */
int store_check_version(struct store *store, const char *component, int known, struct theseus_error *err) {
    struct session *session;
    int version = 0;

    if (find_session(store, &session, err) < 0)
        return -1;
    const struct checked *checked = find_checked(session, component);
    if (checked && !sqlite3_get_autocommit(session->db) && checked->changes == changes_of(session->db))
        return 0;
    if (read_version(session, component, &version, err) < 0)
        return -1;
    if (version <= known) {
        note_checked(session, component);
        return 0;
    }
    store_tell_mismatch(store, ERR_NEWER);
    return version_newer(component, version, known, err);
}
