/*
 * Which properties or items of one value have been evaluated, for unevaluatedProperties and unevaluatedItems.
 *
 * A list that grows while schemas succeed and is cut back to a mark when one fails. A mark is the address of a
 * property's name inside the object (an entry has exactly one) or an item's position. A schema that asks looks only at
 * what was added since it began: what its parents and cousins evaluated is none of its business.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct seen {
    uintptr_t *marks; /* owned */
    size_t count, capacity;
    size_t start;       /* where the marks of the schema that asks begin */
    size_t first_items; /* so many items from the front */
    bool all;
};

/* What can be returned to: everything but the memory. */
struct seen_state {
    size_t count, start, first_items;
    bool all;
};

void seen_fini(struct seen *seen);
struct seen_state seen_state(const struct seen *seen);
void seen_rewind(struct seen *seen, struct seen_state state);

struct seen_state seen_begin(struct seen *seen);            /* a schema that asks begins … */
void seen_end(struct seen *seen, struct seen_state before); /* … and ends: to its parent, all of that is seen */

/* `seen` may be NULL in these two: nobody asks. */
MUST_CHECK int seen_add(struct seen *seen, uintptr_t mark); /* <0: no memory */
void seen_add_first(struct seen *seen, size_t items);

void seen_sort(struct seen *seen); /* before seen_has(), after the last seen_add() */
bool seen_has(const struct seen *seen, uintptr_t mark);
