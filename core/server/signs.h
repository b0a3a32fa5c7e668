/* The files by which running servers are found: one for each, written by it (presence.h). */
#pragma once

#include <sys/types.h>

#include <jansson.h>

#include "base/error.h"

char *signs_dir(const char *runtime_dir);        /* owned */
char *sign_path(const char *dir, pid_t process); /* owned */

/*
 * What every server that runs says of itself: an array of objects, by pid. Files of processes that are gone are
 * removed; those that cannot be read are told on stderr. New reference.
 */
json_t *signs_read(const char *runtime_dir);

/* The one of `pid`; 0: the only one that there is. Borrowed from `signs`. NULL: `err` says which there are. */
const json_t *signs_choose(const json_t *signs, long pid, struct theseus_error *err);
