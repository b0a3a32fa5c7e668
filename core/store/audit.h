/*
 * Who did, or tried to do, what: the lines of the audit. Any thread; each function may wait for the database. Reading a
 * database that does not exist finds nothing and makes nothing.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "store/asker.h"

struct store;

struct audit_line {
    int64_t at_ms; /* wall clock */
    struct asker by;
    const char *session; /* NULL: none */
    const char *action;  /* such as "restart" */
    const char *target;  /* what it was to be done to; NULL: the server */
    const char *result;  /* such as "done", "refused" */
    const char *detail;  /* a sentence, or NULL */
};

MUST_CHECK int audit_add(struct store *store, const struct audit_line *line, struct theseus_error *err);

/* An array, the youngest first, at most `limit` (0: all). New reference in `ret_list`. */
MUST_CHECK int audit_list(struct store *store, int64_t since_ms, int limit, json_t **ret_list,
                          struct theseus_error *err);

/* The youngest line of that action, as audit_list() has it; NULL: there is none. New reference in `ret_line`. */
MUST_CHECK int audit_last(struct store *store, const char *action, json_t **ret_line, struct theseus_error *err);

/* Removes older lines; `ret_removed` counts them. */
MUST_CHECK int audit_sweep(struct store *store, int64_t before_ms, int *ret_removed, struct theseus_error *err);
/* Removes the oldest until `most` are left. */
MUST_CHECK int audit_shorten(struct store *store, int most, int *ret_removed, struct theseus_error *err);
