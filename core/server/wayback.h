/*
 * The way back: until a restart is complete, whatever ends this image – a failure, a signal of a crash, the alarm that
 * the image before has set, a call of exit() – executes the image before, with the same ledger, in its stead.
 *
 * A process has one such way, so this is state of the process. It is opened on the main thread.
 */
#pragma once

#include "ledger/ledger.h"

/* What the image that came back finds of why: in the ledger's scratch memory, since a handler can write nothing else.
 */
struct wayback_note {
    char magic[8]; /* WAYBACK_MAGIC: the rest is meant */
    int signum;    /* that ended the image; 0: it left by itself */
};
#define WAYBACK_MAGIC "wayback"

struct handover;

/* Before the ledger is read: an image that cannot read it goes back, too. The binary's descriptor is closed with the
 * way; the ledger's is kept open by the caller. */
MUST_CHECK int wayback_open(const struct handover *handover, char *const *argv, struct theseus_error *err);
MUST_CHECK int wayback_set_ledger(struct ledger *ledger, struct theseus_error *err);
/*
 * Whether there is a way back is being decided, by a commit: an alarm waits for that. wayback_close() if there is none
 * any more, else wayback_release(), which goes if an alarm has come. Any thread, one at a time.
 */
void wayback_hold(void);
void wayback_release(void);
/* This image is there to stay. Whoever has taken a signal over meanwhile keeps it. Harmless where there is no way back.
 */
void wayback_close(void);
bool wayback_is_open(void);

/* Takes it, for a failure that the ledger already knows of. Returns only if that is impossible. */
void wayback_take(void);

/* The note that was left, once; false: there is none. */
bool wayback_read_note(struct ledger *ledger, struct wayback_note *ret_note);
