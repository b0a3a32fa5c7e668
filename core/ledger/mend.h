/*
 * What can be saved of a batch that is damaged, and has no echo.
 *
 * Its undamaged records stand for themselves; each lost one is written over with a drop of nothing, so that the log is
 * sound again. Only what a call's end is made of belongs together: its answer, and the drops of its records. Where the
 * answer is lost, the records stay, and whoever restores the connection finds out whether the client has it already;
 * where the answer is there, the drops are completed.
 */
#pragma once

#include "ledger/journal.h"

/* Between these places of an extent is what was one batch. False: nothing of it can be saved. */
MUST_CHECK bool mend_batch(struct journal *journal, uint64_t order, size_t from, size_t to);

struct ledger_doubt;

/* Where the lost answer was in the output, by what comes before it and behind it. When the journal is open. */
void mend_place_output(const struct journal *journal, struct ledger_doubt *doubt);
