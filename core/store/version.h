/* How many steps of each component's schema have been applied: table schema_versions. Inside store/ only. */
#pragma once

#include <sqlite3.h>

#include "store/migrate.h"

/* `known` steps there are. A database that has more of them is ERR_NEWER. */
MUST_CHECK int version_find(sqlite3 *db, const char *component, int known, int *ret_version, struct theseus_error *err);
/* Makes the table where there is none. Inside a transaction. */
MUST_CHECK int version_write(sqlite3 *db, const char *component, int version, struct theseus_error *err);
MUST_CHECK int version_each(sqlite3 *db, store_version_fn *visit, void *arg, struct theseus_error *err);

int version_newer(const char *component, int version, int known, struct theseus_error *err); /* says so: -1 */
int version_count_steps(const char *const *steps);
