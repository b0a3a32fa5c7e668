#include "store/damage.h"

#include <pthread.h>
#include <stdio.h>

#include <sqlite3.h>

#include "base/log.h"

/* SQLite has one place for the whole process to tell of errors. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char first[DAMAGE_TEXT_BYTES];

static _Thread_local bool in_ours; /* what has begun last on this thread did so on the server's database */
static char ours, another;         /* what a connection says when a statement begins */

/* NULL: it is no damage. */
static const char *name_of(int code) {
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
        return "the database disk image is malformed";
    case SQLITE_NOTADB:
        return "the file is not a database";
    default:
        return NULL;
    }
}

/* Called by SQLite with locks of its own held: nothing of it may be called here. */
static void on_error(void *arg, int code, const char *message) {
    const char *name = name_of(code);

    (void)arg;
    if (!name)
        return;
    if (!in_ours) {
        log_warning("a statement has come upon damage in a database that is not the server's: %s (%s)", name, message);
        return;
    }
    (void)pthread_mutex_lock(&mutex);
    bool is_first = !first[0];
    if (is_first)
        (void)snprintf(first, sizeof(first), "%s (%s)", name, message);
    (void)pthread_mutex_unlock(&mutex);
    if (is_first)
        log_error("a statement has come upon damage in the database: %s (%s)", name, message);
}

/* Likewise. */
static int on_begin(unsigned what, void *mark, void *statement, void *text) {
    (void)what;
    (void)statement;
    (void)text;
    in_ours = mark == &ours;
    return 0;
}

/* What is opened without our knowing. */
static int on_open(sqlite3 *db, char **ret_error, const void *api) {
    (void)ret_error;
    (void)api;
    in_ours = false;
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_begin, &another);
}

void damage_watch_db(sqlite3 *db) {
    (void)sqlite3_auto_extension((void (*)(void))on_open); /* again and again: it is kept once */
    (void)sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_begin, &ours);
    in_ours = true;
}

void damage_begin(void) {
    in_ours = true;
}

void damage_watch(void) {
    (void)sqlite3_config(SQLITE_CONFIG_LOG, on_error, NULL); /* fails only if SQLite is in use already */
}

bool damage_met(char text[static DAMAGE_TEXT_BYTES]) {
    (void)pthread_mutex_lock(&mutex);
    (void)snprintf(text, DAMAGE_TEXT_BYTES, "%s", first);
    (void)pthread_mutex_unlock(&mutex);
    return text[0] != '\0';
}
