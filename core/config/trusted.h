/* Reading of files that decide what this server does or knows. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

enum { TRUSTED_MISSING = 1 };
enum trusted_kind { TRUSTED_PUBLIC, TRUSTED_SECRET }; /* a secret may not be readable by others */

/*
 * Everything in the regular file that others cannot write; the descriptor that is read is the one that was checked.
 * 0, <0, or TRUSTED_MISSING when there is no such file.
 */
MUST_CHECK int trusted_read(const char *path, enum trusted_kind kind, size_t max, struct buf *ret_content,
                            struct theseus_error *err);
