/*
 * The echo: what was appended to the journal last, a second time, in the front of the file.
 *
 * Whatever code has gone astray in this process can write to the end of the log, which is not sealed yet. Where that
 * has damaged it, what is there is taken from the echo; both would have to be hit.
 *
 * It is for what keeps the connection together: positions, runs, requests and answers as most are. To copy long texts a
 * second time costs more than all else that the ledger does for them; they have no echo, and are sealed the sooner.
 */
#pragma once

#include "ledger/journal.h"

/* A batch that is longer has no echo, nor has one whose records are, on average. */
enum { ECHO_LONGEST = ECHO_BYTES / 4, ECHO_LONGEST_RECORD = 512 };

/* Does a batch of so many records have one? `len`: with its head. */
static inline bool echo_has(uint32_t count, size_t len) {
    return len <= ECHO_LONGEST && len <= sizeof(struct format_batch) + (size_t)count * ECHO_LONGEST_RECORD;
}

/* Inside the gate, when a batch or an end mark of `len` bytes has been published. */
void echo_add_locked(struct journal *journal, const struct format_batch *batch, size_t len);

/* The undamaged batch or end mark that belongs to this place, NULL: there is none. */
const struct format_batch *echo_find(const struct journal *journal, uint64_t order, size_t offset);

/* Inside the gate, or while nobody commits: the undamaged record that belongs to this place, likewise. */
const struct format_record *echo_find_record(const struct journal *journal, uint64_t place);
