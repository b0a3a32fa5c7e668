/* Whether the database can be written: tried, not inferred. */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct store;

enum { PROBE_BUSY_MS = 1000 }; /* another one may hold the write lock for so long */

struct store_probe {
    bool exists;              /* else what counts is whether it could be made */
    bool connected;           /* it was opened and answered */
    bool writable;            /* took a write, on the disk; or could be made */
    struct theseus_error why; /* where it is not writable */
};

/* Makes no file. Any thread; may wait for another one's write. */
void store_probe(struct store *store, struct store_probe *ret_probe);
