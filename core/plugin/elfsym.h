/* Names for addresses in a shared object or a program, from its symbol table: the full one, else the dynamic one. */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum { ELFSYM_NAME_BYTES = 256, ELFSYM_NONE = 1 };

/*
 * The function at `offset` behind the beginning of the mapped object, and how far in it that is. 0, or ELFSYM_NONE: no
 * symbol covers it. `file` is for messages. Any bytes may be behind `fd`; its position is not moved.
 */
MUST_CHECK int elfsym_find(int fd, const char *file, uint64_t offset, char name[static ELFSYM_NAME_BYTES],
                           uint64_t *ret_into, struct theseus_error *err);
