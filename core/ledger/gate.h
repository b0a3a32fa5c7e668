/*
 * The gate: the one lock of the ledger, a futex word in the memory of this process image, so that the next image begins
 * with an open one. All of this may be called in a signal handler.
 *
 * Who is about to replace the process image shuts the gate with gate_take_for_exec() and never opens it again: nobody
 * else comes in, so that what was read and written and what the ledger says about it agree for ever. Linux only.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

/* Zeroed memory is an open gate. */
struct gate {
    _Atomic uint32_t word; /* the holder's thread id, 0: nobody; the highest bit: somebody sleeps */
    _Atomic uint32_t shut; /* 1: only for the thread that executes the next image */
    _Atomic uint32_t lost; /* the id of a holder that will never leave; 0: none has said so */
};

void gate_enter(struct gate *gate); /* by a thread that is not inside */
void gate_leave(struct gate *gate);

enum {
    GATE_TAKEN = 0, /* by the caller, for good */
    GATE_OWN,       /* the caller was inside all along: what it was doing there is half done */
    GATE_LATE,      /* the thread inside did not leave in time, or never will; it is shut for all others */
    GATE_OTHER,     /* another thread has shut it and is on its way to the next image */
};
MUST_CHECK int gate_take_for_exec(struct gate *gate, int timeout_ms);

/* The calling thread does not come back to what it was doing: if it is inside, nobody need wait for it. */
void gate_give_up(struct gate *gate);

/* Is the calling thread inside? */
bool gate_is_own(const struct gate *gate);

/* After an exec that failed: the gate as it was before gate_take_for_exec(), which returned `taken`. */
void gate_give_back(struct gate *gate, int taken);
