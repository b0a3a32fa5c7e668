/*
 * The migration of a database that is in use: with the write lock first a copy is made to go back to, then all that is
 * pending is applied as one. A copy that turned out not to be needed goes; it never pushes one out that is.
 */
#pragma once

#include "store/migrate.h"

struct upgrade {
    struct store_steps *parts; /* `applied` says what was done */
    size_t count;
    int wait_ms;                   /* for another process that migrates; 0: as for everybody else */
    void (*committing)(void *arg); /* optional: nothing can fail any more but the commit itself */
    void *arg;
};

/* *ret_backup, owned: the copy; NULL: there was nothing to apply, or nothing in the database. */
MUST_CHECK int upgrade_run(struct store *store, const struct upgrade *upgrade, char **ret_backup,
                           struct theseus_error *err);
