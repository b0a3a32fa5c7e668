/* The note of a crash in the ledger's scratch memory, where the next image finds it. */
#pragma once

#include "base/crash_note.h"

struct ledger;

/* Where it lies. NULL: the ledger has no room for one. */
struct crash_note *crash_left_place(const struct ledger *ledger);

/* The note that was left, once; false: there is none. */
bool crash_left_read(struct ledger *ledger, struct crash_note *ret_note);
