/*
 * The schema of the database, one append-only list of SQL steps per component (the core, each plugin).
 *
 * Table schema_versions holds how many steps of each component have been applied. A published step never changes; a
 * step may hold several statements, but may not begin or end a transaction, or attach a file.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

struct store;

typedef void store_version_fn(void *arg, const char *component, int version);

struct store_steps {
    const char *component;
    const char *const *steps; /* NULL-terminated; NULL: none */
    int applied;              /* how many were pending and are applied now; set by store_migrate_all() */
};

struct migration {
    struct store_steps *parts;
    size_t count;
    int wait_ms; /* for the write lock; 0: as everybody else */
    /* Optional, all of them with the write lock, and not called where nothing is pending. */
    int (*before)(void *arg, struct theseus_error *err); /* the first step; <0: nothing is done */
    void (*committing)(void *arg);                       /* everything is applied and checked: the commit comes next */
    void *arg;
};

/*
 * Applies what is pending of all parts, in one transaction: everything or nothing. Foreign keys are not enforced
 * between the steps, so that a table can be rebuilt without its dependants' rows being deleted; instead every reference
 * in the database is checked before the commit. When several processes come at once, one migrates, and the others wait
 * for it and find nothing to do. A database that has more steps than are known is ERR_NEWER.
 */
MUST_CHECK int store_migrate_all(struct store *store, const struct migration *migration, struct theseus_error *err);

/* The same, of one component. */
MUST_CHECK int store_migrate(struct store *store, const char *component, const char *const *steps,
                             struct theseus_error *err);

/* How many of `steps` are not applied yet. Makes no file. */
MUST_CHECK int store_pending(struct store *store, const char *component, const char *const *steps, int *ret_pending,
                             struct theseus_error *err);

/* How many steps of each component have been applied, sorted by its name. Makes no file. */
MUST_CHECK int store_each_version(struct store *store, store_version_fn *visit, void *arg, struct theseus_error *err);
