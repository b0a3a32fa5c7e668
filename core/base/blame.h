/*
 * Whose code a thread is in: what is blamed if it crashes there.
 *
 * The object lives where the code is entered, usually on that thread's stack, and names what it belongs to. A signal
 * handler reads it on the same thread, so it may be left half written at no moment: it is filled first, then entered.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct blame {
    const char *plugin, *version, *hash; /* borrowed; hash: of the image, in hexadecimal */
    const char *tool, *slot;             /* borrowed; the tool that is called, or the slot ("start"); the other NULL */
    bool structured;                     /* the tool declares an output schema */
    uint64_t conn, offset, index;        /* key of the client's request; conn 0: it is for none */
    struct blame *outer;                 /* set by blame_enter(): what goes on afterwards */
};

void blame_enter(struct blame *blame); /* must be left on the same thread, the last one first */
void blame_leave(struct blame *blame);

/* Of the calling thread, NULL: the core's own code. Async-signal-safe. */
const struct blame *blame_current(void);

/* For CLEANUP(blame_leave): it was entered in this block. */
static inline void blame_leave_cleanup(struct blame *blame) {
    blame_leave(blame);
}
