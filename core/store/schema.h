/*
 * The core's own tables, and when they may be made: at once where there is none of them yet, since nothing can be lost;
 * where older ones are, only by the migration that a restart goes through.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct store;

#define SCHEMA_CORE "core"                    /* the component */
extern const char *const schema_core_steps[]; /* append-only, NULL-terminated */

int schema_core_count(void); /* how many steps this server knows */

enum { SCHEMA_EMPTY = 1 }; /* outcome of schema_for_reading(): nothing was ever written */

/* May the core's tables be used? Makes no file and no table. ERR_BUSY: a migration is pending. Any thread. */
MUST_CHECK int schema_for_reading(struct store *store, struct theseus_error *err);

/* The same, and makes them where there is none. */
MUST_CHECK int schema_for_writing(struct store *store, struct theseus_error *err);

/* `sql` deletes the rows before its first parameter, a time; `ret_removed` counts them. Makes no table. Any thread. */
MUST_CHECK int schema_expire(struct store *store, const char *sql, int64_t before_ms, int *ret_removed,
                             struct theseus_error *err);
