/*
 * The database of a rehearsal: a private copy in a temporary directory, so that a plugin's migrations and its `start`
 * can be tried and leave nothing behind.
 */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

struct trial;

MUST_CHECK int trial_new(struct trial **ret_trial, struct theseus_error *err); /* without a database yet */
struct trial *trial_free(struct trial *trial);                                 /* removes the directory */

/*
 * Takes a copy of the database in that directory, if there is one. Fails where a server could not use it: it cannot be
 * read, it is damaged, others may open it. The rehearsal can go on then, with an empty one.
 */
MUST_CHECK int trial_copy(struct trial *trial, const char *state_dir, struct theseus_error *err);

const char *trial_database(const struct trial *trial); /* borrowed: its path */

/*
 * After the rehearsal: how far each component is, and what it still lacks, which are the steps that the rehearsal has
 * applied to the copy. ERR_NEWER: the core's tables are newer than this program.
 */
MUST_CHECK int trial_print_versions(const struct trial *trial, FILE *out, struct theseus_error *err);

DEFINE_CLEANUP(struct trial *, trial_free)
