/*
 * The echo: what was appended to the journal last, a second time, in the front of the file.
 *
 * Whatever code has gone astray in this process can write to the end of the log, which is not sealed yet. Where that
 * has damaged it, what is there is taken from the echo; both would have to be hit.
 */
#pragma once

#include "ledger/journal.h"

/* What is longer than that has no echo: it is sealed at once instead, all but its last page. */
enum { ECHO_LONGEST = ECHO_BYTES / 4 };

/* Inside the gate, when a batch or an end mark of `len` bytes has been published. */
void echo_add_locked(struct journal *journal, const struct format_batch *batch, size_t len);

/* The undamaged batch or end mark that belongs to this place, NULL: there is none. */
const struct format_batch *echo_find(const struct journal *journal, uint64_t order, size_t offset);

/* Inside the gate, or while nobody commits: the undamaged record that belongs to this place, likewise. */
const struct format_record *echo_find_record(const struct journal *journal, uint64_t place);
