/* Files that are whole or not there: written aside, brought to the disk, and renamed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <theseus/error.h>

#include "text.h"

void file_hash(const char *content, size_t len, char text[static 65]); /* SHA-256 */

/*
 * `directory/name` has this content, and file and name are on the disk. One that is there already under a name made of
 * its content is not written again. The directory is made (0700), the file is 0600. 0 or -1.
 */
int file_store(const char *directory, const char *name, const char *content, size_t len, struct theseus_error *err);
/* The same, over what was there, and readable for whom the umask lets. */
int file_replace(const char *directory, const char *name, const char *content, size_t len, struct theseus_error *err);

int file_read(const char *path, struct text *into); /* 0 or -1 */
/* Is it there with so many bytes, and (deep) with the content that has this hash? -1 and errno: that cannot be told
 * now. */
int file_check(const char *path, const char *hash, int64_t bytes, bool deep, bool *ret_whole);
