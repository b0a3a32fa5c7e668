/*
 * The key that snapshots are sealed with: 32 bytes in a file of its own (0600), made when something is sealed for the
 * first time. What is used are keys derived from it: one to seal with, and one whose bytes may be shown, so that a
 * sealed file can say which key it needs.
 */
#pragma once

#include "base/error.h"

enum { SEAL_KEY_BYTES = 32, SEAL_KEY_ID_BYTES = 16 };

struct seal_key {
    unsigned char bytes[SEAL_KEY_BYTES]; /* secret */
    unsigned char id[SEAL_KEY_ID_BYTES]; /* not secret */
};

enum { SEAL_KEY_MISSING = 1 }; /* outcome of seal_key_load(): there is no such file */

/*
 * The key in the file at `path`. Refused unless it is a regular file of exactly 32 bytes that belongs to us and is open
 * to nobody else. Makes nothing. Any thread.
 */
MUST_CHECK int seal_key_load(const char *path, struct seal_key *ret_key, struct theseus_error *err);

/*
 * The same, and makes the file, and its directory, where there is none. Of several processes that do this at once one
 * makes it, and all use that one; the file is never seen half written. Any thread.
 */
MUST_CHECK int seal_key_make(const char *path, struct seal_key *ret_key, struct theseus_error *err);

void seal_key_fini(struct seal_key *key); /* overwrites it */
void seal_key_fini_cleanup(struct seal_key *key);
