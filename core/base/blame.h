/*
 * Whose code a thread is in: what is blamed if it crashes there.
 *
 * The object does not lie on the stack of that thread, which the code may have overwritten when it crashes. A signal
 * handler reads it on the same thread, so it may be left half written at no moment: it is filled first, then entered.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

struct blame {
    const char *plugin, *version, *hash; /* borrowed; hash: of the image, in hexadecimal */
    const char *tool, *slot;             /* borrowed; the tool that is called, or the slot ("start"); the other NULL */
    bool structured;                     /* the tool that the client has called declares an output schema */
    /* Key of the client's request; conn 0: it is for none. A plugin's thread has that of the call which made it,
     * whether or not it works for that. */
    uint64_t conn, offset, index;
    struct blame *outer; /* set by blame_enter(): what goes on afterwards */
};

void blame_enter(struct blame *blame); /* must be left on the same thread, the last one first */
void blame_leave(struct blame *blame);

/* The same with an object of its own. */
struct blame *blame_begin(const struct blame *content);
struct blame *blame_end(struct blame *blame); /* returns NULL */

/* Of the calling thread, NULL: the core's own code. Async-signal-safe. */
const struct blame *blame_current(void);

DEFINE_CLEANUP(struct blame *, blame_end)
