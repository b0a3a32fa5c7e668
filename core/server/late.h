/*
 * Descriptors that the exec would close slowly. For an inotify descriptor the system waits until no processor can be
 * looking at its marks any more, milliseconds each, and an exec closes while nobody is served. So they go along, and
 * the next image watches its own directories through them. What it has no use for it closes beside its work: but
 * whoever crashes then has to wait for that thread, which no signal wakes.
 */
#pragma once

#include "ledger/ledger.h"
#include "loop/lane.h"

/* For the exec: keeps each of them open under another number, and records that one. */
MUST_CHECK int late_keep(struct ledger *ledger, struct theseus_error *err);
/* There was no exec: what late_keep() did is undone. */
void late_drop(struct ledger *ledger) ON_LOOP;

/* Behind a crash: those that came along without a record are recorded, and what stood there before is forgotten. */
void late_adopt(struct ledger *ledger);

/* Behind the exec, before anything is watched: whoever wants such a descriptor can have one that came along. */
void late_offer(struct ledger *ledger) ON_LOOP;

struct late;

struct late *late_new(struct lane *lane);  /* borrowed */
struct late *late_free(struct late *late); /* after the lane has ended */
/* Behind the exec, when no image before can come back: what came along is offered no more, and closed on the lane. */
void late_close(struct late *late, struct ledger *ledger) ON_LOOP;
