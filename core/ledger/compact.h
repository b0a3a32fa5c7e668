/*
 * Compaction: the journal gives back what is dead, a little at a time, from its oldest extent on.
 *
 * The records there that are still live are appended once more, like any other batch, and when none is left the
 * journal begins with the next extent. What is sealed is never written to; nothing waits for more than a small copy; a
 * drop that lies in the oldest extent has nothing left to hide and is not copied. Never in a signal handler.
 *
 * A log that holds little is ended early and goes on in another segment: it comes back to the pages that it left, again
 * and again, instead of touching all of a segment's.
 *
 * A record is chosen outside of the gate and copied inside, where what was committed since is looked through first: if
 * that changes the record, it is not copied.
 */
#pragma once

#include "ledger/fold.h"

/* One step, if dead bytes dominate (or, with `all`, before this order in any case). False: there was nothing to do, or
 * no room to do it. Follows the journal first. Under the fold lock, outside of the gate. */
bool compact_step(struct fold *fold);
bool compact_step_before(struct fold *fold, uint64_t order);

/* Bytes of the journal that are neither live nor dropped already. */
size_t compact_dead_bytes(const struct fold *fold);

/* What is dead as a whole and only waits for its readers to leave: segments, and the bytes in them. */
size_t compact_waiting(const struct fold *fold, size_t *ret_bytes);

/* Readers that look at records without the lock: what they can have found is not dropped. */
int compact_pin(struct fold *fold);
void compact_unpin(struct fold *fold, int pin);
