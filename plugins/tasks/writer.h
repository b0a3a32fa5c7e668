/*
 * The one thread of this process that writes, and the queue before it.
 *
 * Calls that queue up are one transaction, and all are answered when the commit is through. One that is refused after
 * it has changed something, or a transaction that fails as a whole (a full disk), undoes all of it; then they are run
 * again one by one, so that each fails or succeeds for itself.
 *
 * A call that is run again after a restart or a crash is answered with what it was answered first: the answer is stored
 * under theseus_call_key() in the transaction that has its effect.
 *
 * Other processes write too. Whoever wants to waits for them, for as long as its oldest call would: "database is
 * locked" is nothing that a client ever reads.
 */
#pragma once

#include "work.h"

struct writer;

struct writer *writer_new(struct tasks *tasks);
struct writer *writer_free(struct writer *writer); /* what is queued is done first */

/* Takes `work`; it is answered later, from the writer's thread. Any thread; never blocks. THESEUS_LATER or _DONE. */
int writer_submit(struct writer *writer, struct work *work);
