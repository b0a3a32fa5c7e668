#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "store/db.h"
#include "store/statements.h"

struct store {
    char *path;
    int key_error;         /* why there is no `key`; 0: there is one */
    pthread_key_t key;     /* the calling thread's struct session */
    pthread_mutex_t mutex; /* guards `sessions`; held for moments, never across SQL */
    struct list sessions;  /* session::link, owned */
};

/* What one thread has of the store. */
struct session {
    struct list link;              /* store::sessions */
    struct store *store;           /* borrowed */
    sqlite3 *db;                   /* owned */
    struct statements *statements; /* owned */
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
    *ret_session = session;
    return 0;
}

struct store *store_new(const char *path) {
    struct store *store = xcalloc(1, sizeof(*store));

    store->path = xstrdup(path);
    store->key_error = pthread_key_create(&store->key, on_thread_end);
    (void)pthread_mutex_init(&store->mutex, NULL);
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
