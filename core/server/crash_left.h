/*
 * The note of a crash in the ledger's scratch memory, where the next image finds it. That one tells the history of it
 * when it serves, and keeps it until then beside its place: should it crash itself before, the image after it tells of
 * both.
 */
#pragma once

#include "base/crash_note.h"
#include "server/quarantine.h"

struct ledger;

struct crash_untold {
    char magic[8]; /* CRASH_MAGIC, written last: the rest is meant */
    int64_t at_ms; /* wall clock */
    struct crash_note note;
    struct verdict verdict;
};

/* Where it lies. NULL: the ledger has no room for one. */
struct crash_note *crash_left_place(const struct ledger *ledger);

/* The note that was left, once; false: there is none. */
bool crash_left_read(struct ledger *ledger, struct crash_note *ret_note);

/* `untold` without its magic. */
void crash_left_keep(struct ledger *ledger, const struct crash_untold *untold);
/* False: the history knows of all. */
bool crash_left_untold(struct ledger *ledger, struct crash_untold *ret_untold);
void crash_left_told(struct ledger *ledger);
