/* Content hashes: 128 bits of XXH3, to tell contents apart (they come from trusted files; this is no signature). */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

enum { HASH_TEXT_BYTES = 33 }; /* 32 hexadecimal digits and the NUL */

uint64_t hash_u64(struct span bytes);
void hash_text(struct span bytes, char text[static HASH_TEXT_BYTES]);

/* Of everything in the file behind `fd`, from its beginning; the file position is not moved. */
MUST_CHECK int hash_fd(int fd, char text[static HASH_TEXT_BYTES], struct theseus_error *err);
