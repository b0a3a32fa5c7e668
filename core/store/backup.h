/*
 * Copies of the database as a whole: one to go back to, made before its schema changes, and one to try things on.
 */
#pragma once

#include "store/migrate.h"

struct store;

enum { BACKUPS_KEPT = 5 };

/*
 * Copies the database, as it is committed now, to backups/theseus-TIME.db (0600) beside it. *ret_path is the copy
 * (owned), or NULL: there is nothing in the database yet. Through a connection of its own, so that it may be made
 * inside the transaction that is going to change it.
 */
MUST_CHECK int backup_make(struct store *store, char **ret_path, struct theseus_error *err);
void backup_drop(const char *path);           /* it was not needed; NULL: there is none */
void backup_drop_oldest(struct store *store); /* beyond BACKUPS_KEPT. For when the latest turned out to be needed */

/* `path` is not there. Fails where it is lost: its log is there. */
MUST_CHECK int backup_check_missing(const char *path, struct theseus_error *err);

/*
 * Copies the database at `path` to the new file `copy` and looks through the copy. Neither the database nor anything
 * beside it is touched, whether or not a server has it open. Fails where a server could not open it, or where it is
 * damaged (ERR_INVALID).
 */
MUST_CHECK int backup_try(const char *path, const char *copy, struct theseus_error *err);

/* Visits what store_each_version() would, of the database at `path` (which must be there), and touches it as little. */
MUST_CHECK int backup_versions(const char *path, store_version_fn *visit, void *arg, struct theseus_error *err);
