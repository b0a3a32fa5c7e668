/*
 * The files beside the database that rows of it name: each is in the directory artifacts/, called by the SHA-256 of
 * what it holds. A plugin whose rows name some says which by a view in its schema, called after itself: NAME_files,
 * with the columns `name` and `bytes`. So nobody else need know its tables.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"

#define ARTIFACTS_DIR "artifacts" /* in the state directory */

/* Told what is wrong with a file: a sentence. */
struct artifacts_listener {
    void (*tell)(void *arg, const char *text);
    void *arg;
};

/*
 * Compares the files in `dir` with what the rows say: one that is missing, one that holds something else, and, with
 * `strays`, one that no row names, unless it is so young that its row may be on its way. `db` is a copy that nobody
 * else uses. *ret_named: how many files are named.
 */
MUST_CHECK int artifacts_check(sqlite3 *db, const char *dir, bool strays, const struct artifacts_listener *listener,
                               size_t *ret_named, struct theseus_error *err);
