/*
 * The schema that a generation of a plugin brings along. What is applied stays applied, also when the generation is
 * refused afterwards; so there is a backup first, and the refusal says so.
 */
#pragma once

#include "base/error.h"

struct generation;

/* Applies the pending steps, all or none. On the lane. The message begins with "migrations: ". */
MUST_CHECK int migration_run(struct generation *generation, struct theseus_error *err);

/* The tables of a plugin whose schema waits for its first use of the database, which is this. Any thread. */
MUST_CHECK int migration_on_use(struct generation *generation, struct theseus_error *err);

/* Adds to the reason for which it is refused that the schema stays as it is now, and where the backup is. */
void migration_note(const struct generation *generation, struct theseus_error *err);
