/*
 * Memory that many clients have filled for a moment, given back: when for a while none has come, gone, or confirmed
 * what it has got, what is dead in the ledger gives way, and what the heap holds free goes back to the system. By
 * itself the ledger does so only while something is written to it, and the heap only at its end.
 */
#pragma once

#include "ledger/ledger.h"
#include "loop/lane.h"
#include "loop/loop.h"

struct tidy;

/* `lane` and `ledger` are borrowed; the lane goes first. */
struct tidy *tidy_new(struct loop *loop, struct lane *lane, struct ledger *ledger) ON_LOOP;
struct tidy *tidy_free(struct tidy *tidy) ON_LOOP;

void tidy_later(struct tidy *tidy) ON_LOOP; /* the while begins anew, though not for ever */

DEFINE_LOOP_CLEANUP(struct tidy *, tidy_free)
