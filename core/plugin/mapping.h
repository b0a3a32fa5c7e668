/* A shared object in our address space: mapped, searched, and verifiably gone again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct mapping {
    void *handle;            /* NULL: not mapped, or given back and yet not gone */
    const char *start, *end; /* its addresses; they stay when something keeps it mapped */
};

enum { MAPPING_GONE = 0, MAPPING_PINNED = 1 }; /* outcomes of mapping_close() */

/* Maps the file and runs its constructors. Refused where a file of this name is mapped already. */
MUST_CHECK int mapping_open(struct mapping *mapping, const char *path, struct theseus_error *err);

/* Gives the mapping back and looks whether it is gone: destructors of threads, for one, keep it. May be tried again. */
MUST_CHECK int mapping_close(struct mapping *mapping, const char *path);

/* An object of this very file (not of a library it needs) and its size. NULL: it exports none. Borrowed. */
const void *mapping_object(const struct mapping *mapping, const char *name, size_t *ret_size);

bool mapping_contains(const struct mapping *mapping, const void *address);
