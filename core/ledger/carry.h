/*
 * What of a ledger is carried beyond the life of the machine: the plugins' state, and the calls that are at work, with
 * their requests and checkpoints, and which of them are tasks. A request that no handler has entered had no effect, and
 * is not carried.
 *
 * The content is a short head with a version, and the records as they stand in the ledger, fields that this version
 * does not know included. It is written and read by one kind of machine, in its own byte order.
 */
#pragma once

#include <stdbool.h>

#include "ledger/ledger.h"

enum { CARRY_VERSION = 1 };

bool carry_has_kind(uint16_t number); /* is a change of such a record a change of what is carried? */

/* Of everything that may be carried; the same while nothing of it changes, whatever else is committed. Any thread. */
void carry_digest(struct ledger *ledger, uint64_t *ret_digest, uint64_t *ret_records);

/* Is this record to be carried? Asked on the thread of carry_pack(). */
typedef bool carry_wants_fn(void *arg, const struct record_kind *kind, const void *record);

struct carried {
    struct buf content;
    uint64_t records;
    uint64_t digest; /* carry_digest() of the same moment, with what was not wanted */
};

/* As of one moment. Any thread. */
MUST_CHECK int carry_pack(struct ledger *ledger, carry_wants_fn *wants, void *arg, struct carried *ret_carried,
                          struct theseus_error *err);
void carried_fini(struct carried *carried);
void carried_fini_cleanup(struct carried *carried);

/*
 * Visits what is in `content`: requests, runs, checkpoints, state, then tasks. Kinds that are not known are passed
 * over. ERR_NEWER: a later version wrote it; ERR_INVALID: it is none of ours. Then nothing was visited.
 */
typedef void carry_visit_fn(void *arg, const struct record_kind *kind, const void *record);
MUST_CHECK int carry_unpack(struct span content, carry_visit_fn *visit, void *arg, struct theseus_error *err);
