#include "store/damage.h"

#include <pthread.h>
#include <stdio.h>

#include <sqlite3.h>

#include "base/log.h"

/* SQLite has one place for the whole process to tell of errors. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char first[DAMAGE_TEXT_BYTES];

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
    (void)pthread_mutex_lock(&mutex);
    bool is_first = !first[0];
    if (is_first)
        (void)snprintf(first, sizeof(first), "%s (%s)", name, message);
    (void)pthread_mutex_unlock(&mutex);
    if (is_first)
        log_error("a statement has come upon damage in the database: %s (%s)", name, message);
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
