/* Migrations on trial: what is pending, and whether it can be applied to a copy of the database. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/error.h"

/* One list of steps; see store/migrate.h. */
struct rehearsal_part {
    const char *component;
    const char *const *steps; /* NULL: none */
    bool on_use;              /* its first tables are made when it first needs them: that is no migration */
};

/*
 * Finds out what of `parts` is pending in the database of `state_dir` and, if anything is, applies it to a copy in
 * `room`. *ret_pending, a new reference: [{"component", "pending", "known"}]; `pending` is negative where the database
 * is ahead of what is known. It is there also when they could not be applied; else NULL. The database is not touched.
 */
MUST_CHECK int rehearsal_run(const char *state_dir, const char *room, const struct rehearsal_part *parts, size_t count,
                             json_t **ret_pending, struct theseus_error *err);
