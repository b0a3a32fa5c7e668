/* Files and directories: paths, modes, whole-file reading and atomic writing. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"

char *path_join(const char *dir, const char *name); /* owned */
char *path_absolute(const char *base_dir,
                    const char *path);   /* owned; an absolute path is only copied; "~/" is the home */
char *path_dir(const char *path);        /* owned; "." where there is no slash */
const char *path_base(const char *path); /* borrowed: behind the last slash */
const char *fs_home(void); /* $HOME, else the password database's word; borrowed for the life of the process */

/* Makes the directory and the missing ones above it (0700). One that exists and is open to others is refused. */
MUST_CHECK int fs_make_private_dir(const char *path, struct theseus_error *err);
/* The same; one that exists may be as open as `mode` says. */
MUST_CHECK int fs_make_dir(const char *path, mode_t mode, struct theseus_error *err);

/*
 * Who could have written what is behind `fd` (opened as `path`)? Refused unless the file, its directory and every
 * parent belong to root or to our uid and nobody else may write them (the user's own group aside; sticky parents are
 * fine). The message names the path and the command that mends it.
 */
MUST_CHECK int fs_check_trusted(int fd, const char *path, struct theseus_error *err);

/* Everything in the file, up to `max` bytes; more is an error. */
MUST_CHECK int fs_read_fd(int fd, const char *path, size_t max, struct buf *ret_content, struct theseus_error *err);
MUST_CHECK int fs_read_file(const char *path, size_t max, struct buf *ret_content, struct theseus_error *err);

/* Temporary name, fsync, rename, fsync of the directory: the file is the old one or the new one, never half of it. */
MUST_CHECK int fs_write_file(const char *path, struct span content, mode_t mode, struct theseus_error *err);

/* Temporary name, rename: whoever opens it finds all of the old or all of the new one. For what is of no use after the
 * machine went down. */
MUST_CHECK int fs_replace_file(const char *path, struct span content, mode_t mode, struct theseus_error *err);

/* Copies all of `from_fd` to a new file at `path`, by way of a temporary name. */
MUST_CHECK int fs_copy_fd(int from_fd, const char *path, mode_t mode, struct theseus_error *err);

/* Gives a whole file its name for good: fsync, rename, fsync of the directory. What has the name is replaced; by the
 * second function never, which is an error then. */
MUST_CHECK int fs_publish(const char *draft, const char *path, struct theseus_error *err);
MUST_CHECK int fs_publish_new(const char *draft, const char *path, struct theseus_error *err);

/* Is anything there? An error is what leaves that open: no permission, a disk that cannot be read. */
MUST_CHECK int fs_exists(const char *path, bool *ret_exists, struct theseus_error *err);

/* Removes a directory with the files in it (one level; that is all we make). Best effort: what is left is found next
 * time. */
void fs_remove_dir(const char *path);
