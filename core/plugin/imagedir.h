/*
 * The directory of private plugin copies: runtime_dir/<boot id>, or state_dir/run-images/<boot id> where runtime_dir is
 * mounted noexec. Nothing is made before imagedir_open(). A lock file in it is held for the life of the process, across
 * exec too; a directory whose lock is free belongs to nobody any more and is removed by whoever opens one beside it.
 */
#pragma once

#include "base/mem.h"

struct imagedir;

struct imagedir *imagedir_new(const char *runtime_dir, const char *state_dir, const char *boot_id);
struct imagedir *imagedir_free(struct imagedir *dir);   /* gives the lock back and leaves the files */
struct imagedir *imagedir_remove(struct imagedir *dir); /* a clean exit: removes the directory, then the same */
void imagedir_clear(const struct imagedir *dir); /* an exit past a thread that is stuck: only removes the directory */

/* Makes and locks the directory unless that has been done, and removes the abandoned ones beside it. */
MUST_CHECK int imagedir_open(struct imagedir *dir, struct theseus_error *err);

/* Goes on with a directory that an earlier image of this process made: `lock_fd` (taken over on success) holds it. */
MUST_CHECK int imagedir_adopt(struct imagedir *dir, const char *path, int lock_fd, struct theseus_error *err);

/* The lock of a directory that a process has left which is gone. -1: there is none, or somebody has it. */
int imagedir_lock_left(const char *path);

/* Removes the abandoned directories beside the one at `path`. Any thread. */
void imagedir_sweep_beside(const char *path);

const char *imagedir_path(const struct imagedir *dir); /* borrowed; NULL: not open yet */
int imagedir_lock_fd(const struct imagedir *dir);      /* borrowed; -1: not open yet */

/*
 * The place for a copy of `file`: DIR/<base of file>.<generation>.<hash>.so, with one more number where a file of that
 * name exists. Owned.
 */
char *imagedir_name(const struct imagedir *dir, const char *file, unsigned generation, const char *hash);

DEFINE_CLEANUP(struct imagedir *, imagedir_free)
