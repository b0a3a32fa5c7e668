/*
 * The database, for whoever is on any thread: each thread has a connection of its own, opened when it first asks and
 * closed when it ends. Nothing is opened, and no file made, before somebody asks.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"

struct sqlite3;
struct sqlite3_stmt;
struct store;

/* Once, before anything in the process uses SQLite: it counts no memory, which takes a lock for each allocation. */
void store_tune(void);

struct store *store_new(const char *path);
/* Closes every thread's connection. No other thread may be in the store, or just ending, meanwhile. */
struct store *store_free(struct store *store);

const char *store_path(const struct store *store); /* borrowed */

/*
 * The calling thread's connection, borrowed until the thread ends. It stays the store's: no function, hook or blob
 * handle of a plugin may be left on it when that plugin goes. Any thread.
 */
MUST_CHECK int store_db(struct store *store, struct sqlite3 **ret_db, struct theseus_error *err);

/*
 * A statement on the calling thread's connection, prepared once per thread and component and found again by its text,
 * handed out reset and without bindings. Borrowed, for one use at a time: asking for the same text again gives the same
 * statement, from its beginning. Reset it after use: one that is not keeps its read transaction open. Any thread.
 */
MUST_CHECK int store_statement(struct store *store, const char *component, const char *sql,
                               struct sqlite3_stmt **ret_statement, struct theseus_error *err);

/*
 * Finalises the component's statements on every thread; they may not be in use. Any thread, and it never waits for SQL:
 * on a connection that is inside another component's statement they are finalised when its thread next asks. Nothing of
 * the component's own memory is needed for that, except the destructor of a binding: bind with SQLITE_TRANSIENT or
 * SQLITE_STATIC.
 */
void store_forget(struct store *store, const char *component);

/*
 * What the calling thread commits from here on survives the end of every process at once, and the loss of power once
 * the system has brought it to the disk by itself. Until then nothing waits for the disk: neither the thread, nor an
 * exec of the process, which a thread that waits for a disk would hold up.
 */
MUST_CHECK int store_relax(struct store *store, struct theseus_error *err);

/*
 * May a component that knows `known` steps of its schema use the database? ERR_NEWER: another process has migrated it
 * further meanwhile. Cheap: inside a transaction nothing is read that was read before. Any thread.
 */
MUST_CHECK int store_check_version(struct store *store, const char *component, int known, struct theseus_error *err);

/* Has what the calling thread did last on its connection failed? Whoever asks for the connection then may want to know
 * why, and anything that is done on it makes it forget that. */
bool store_has_failed(struct store *store);

/*
 * Told, on any thread, when somebody was refused because the schema is not what this program knows. ERR_BUSY: it is
 * older, and steps are pending; ERR_NEWER: it is newer. `told` NULL: nobody is told any more, once this has returned.
 */
typedef void store_mismatch_fn(void *arg, enum errc code);
void store_on_mismatch(struct store *store, store_mismatch_fn *told, void *arg);
void store_tell_mismatch(struct store *store, enum errc code); /* inside store/ only */

/* Of the moment, for the health check. Any thread. */
int store_connections(const struct store *store);  /* open ones */
int store_transactions(const struct store *store); /* those inside a transaction that somebody began */

DEFINE_CLEANUP(struct store *, store_free)
