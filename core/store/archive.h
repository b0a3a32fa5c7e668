/*
 * The database in one file that can be kept elsewhere: a copy of it, and in a table of the copy's own the files beside
 * it that its rows name (those in the directory artifacts/). No server need stop for it; putting it back needs that.
 */
#pragma once

#include "base/error.h"
#include "base/mem.h"
#include "store/artifacts.h"

/*
 * Writes what is committed now to the new file `file` (0600), which appears only when it is whole. An artifact that is
 * written before its row, as it must be, is in it whenever the row is; the listener is told of those that are not as
 * their rows say. ERR_MISSING: there is no database yet.
 */
MUST_CHECK int archive_write(const char *state_dir, const char *file, const struct artifacts_listener *listener,
                             struct theseus_error *err);

/*
 * Makes `file` the database of `state_dir`, after a look through all of it. What was there, the database or
 * a log that has lost its own, is renamed to *ret_aside (owned; NULL: there was nothing). The listener is told of
 * artifacts that are not there, neither in `file` nor before. ERR_BUSY: somebody has it open; ERR_NEWER: `file` is of a
 * newer server.
 */
MUST_CHECK int archive_restore(const char *state_dir, const char *file, const struct artifacts_listener *listener,
                               char **ret_aside, struct theseus_error *err);

/* Looks through a database that nobody need close: every page, every index, every reference (ERR_INVALID says the first
 * thing that is wrong), and every artifact: the listener is told. *ret_named: how many there are. Touches nothing. */
MUST_CHECK int archive_examine(const char *path, const struct artifacts_listener *listener, size_t *ret_named,
                               struct theseus_error *err);
