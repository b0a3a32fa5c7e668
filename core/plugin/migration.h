/*
 * The schema that a generation of a plugin brings along.
 *
 * Tables that it does not have yet are made when it is started: nobody can have used them, so nothing can be lost, and
 * what served before does not know them. Tables that it has are changed only by a restart, under which nothing serves;
 * except in a process that cannot restart, as `theseus call`, where nothing served before.
 */
#pragma once

#include "base/error.h"

struct generation;

/* Would migration_run() leave its schema to a restart? Sets `outdated`. On the lane. */
MUST_CHECK int migration_look(struct generation *generation, struct theseus_error *err);

/* Applies the pending steps, all or none; where they are a restart's to apply it fails, and sets `outdated`. On the
 * lane. The message begins with "migrations: ". */
MUST_CHECK int migration_run(struct generation *generation, struct theseus_error *err);

/* The tables of a plugin whose schema waits for its first use of the database, which is this. Any thread. */
MUST_CHECK int migration_on_use(struct generation *generation, struct theseus_error *err);

/* Adds to the reason for which it is refused that the schema stays as it is now, and where the backup is. */
void migration_note(const struct generation *generation, struct theseus_error *err);
