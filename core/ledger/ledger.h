/*
 * The ledger: the facts that outlive the process image, as records under keys, in memory behind a descriptor.
 *
 * Facts that change together are put into one batch and committed at once. One lock, the gate, covers exactly: a read
 * from a client and the record of it; a write to a client and the record of it; any other commit. It is held for
 * microseconds, never across plugin code, a blocking call or another lock.
 *
 * A commit appends to a log (journal.h). A reader follows it (fold.h), and dead records give way (compact.h): a little
 * of both is done by whoever leaves the gate when there is enough to do, outside of it. Whatever happens to this
 * process image, the next one opens the descriptor and has everything that was committed. Any thread may commit.
 */
#pragma once

#include "base/mem.h"
#include "ledger/batch.h"
#include "ledger/gate.h"
#include "ledger/records.h"

struct ledger;

/* ---- from image to image ---- */

/* A new ledger in the file behind `fd`, which lies in memory (on a tmpfs) and loses what it has; -1: in a file without
 * a name. The ledger owns the descriptor if it succeeds. */
MUST_CHECK int ledger_create(struct ledger **ret_ledger, int fd, struct theseus_error *err);

/* What an earlier image has written. Damage is left out, counted and logged; only a file that is no ledger at all, or
 * one of a format that is not known, is an error. */
MUST_CHECK int ledger_open(struct ledger **ret_ledger, int fd, struct theseus_error *err);

/* In place of one that is an error for ledger_open(): a new one, of which everything is lost. */
MUST_CHECK int ledger_create_damaged(struct ledger **ret_ledger, int fd, struct theseus_error *err);

struct ledger *ledger_new(void); /* ledger_create() without a file; ends the process when there is no memory */
struct ledger *ledger_free(struct ledger *ledger);

int ledger_fd(const struct ledger *ledger); /* borrowed; close-on-exec */

/* Memory inside the ledger that a crash handler may write to: the next image finds it there. */
void *ledger_scratch(const struct ledger *ledger, size_t *ret_size);

/* No more than so many bytes; rounded down to whole MiB. */
void ledger_set_bound(struct ledger *ledger, size_t bytes);

/* Is it sealed, and echoed, against writes that go astray? It is; what is sealed when it ends remains so until it is
 * written to again. Any thread. */
void ledger_guard(struct ledger *ledger, bool guarded);

/* No memory in reserve, until it is wanted: whoever has not been asked for any work needs none, and it takes time. */
void ledger_be_lean(struct ledger *ledger, bool lean);

/* ---- committing ---- */

void ledger_enter(struct ledger *ledger); /* takes the gate */
void ledger_leave(struct ledger *ledger);

/* The gate for the thread that executes the next image: outcomes of gate_take_for_exec(), async-signal-safe. */
MUST_CHECK int ledger_gate_take_for_exec(struct ledger *ledger, int timeout_ms);
void ledger_gate_give_up(struct ledger *ledger);
bool ledger_gate_is_own(const struct ledger *ledger);         /* likewise: is the calling thread inside? */
void ledger_gate_give_back(struct ledger *ledger, int taken); /* that exec failed */

/*
 * All of the batch or nothing; the batch is empty afterwards. The second form is for a caller that holds the gate; it
 * allocates nothing. ERR_LIMIT, ERR_MEMORY: there is no room; batches with `reserve` fail
 * later than others, and those that only drop last.
 */
MUST_CHECK int ledger_commit(struct ledger *ledger, struct batch *batch, struct theseus_error *err);
MUST_CHECK int ledger_commit_locked(struct ledger *ledger, struct batch *batch, struct theseus_error *err);

/* One put or one drop, by itself. */
MUST_CHECK int ledger_put(struct ledger *ledger, const struct record_kind *kind, const void *record,
                          struct theseus_error *err);
MUST_CHECK int ledger_drop(struct ledger *ledger, const struct record_kind *kind, const void *record,
                           struct theseus_error *err);

/*
 * Told once, when something of what a snapshot carries (carry.h) was changed from here on: on whatever thread did it,
 * outside of the gate, so it may not wait. Asking again begins anew. NULL: nobody is told any more; only when no other
 * thread commits.
 */
typedef void ledger_touched_fn(void *arg);
void ledger_watch(struct ledger *ledger, ledger_touched_fn *touched, void *arg);

/* ---- reading ---- */

/* Visits the records of a kind in the order of their keys. What `record` points to is good until `visit` returns; the
 * ledger may be changed inside it. A record that cannot be decoded is left out and logged. */
typedef void ledger_visit_fn(void *arg, const void *record);
void ledger_each(struct ledger *ledger, const struct record_kind *kind, ledger_visit_fn *visit, void *arg);

/* Visits the one record that has the key of `record`. False: there is none. */
bool ledger_find(struct ledger *ledger, const struct record_kind *kind, const void *record, ledger_visit_fn *visit,
                 void *arg);

size_t ledger_count(struct ledger *ledger); /* records */

/* What was found when it was opened: batches, at least, of which something is lost; records, at least, of which nothing
 * is left; batches that were damaged and are whole again. */
size_t ledger_damaged(const struct ledger *ledger);
size_t ledger_lost(const struct ledger *ledger);
size_t ledger_mended(const struct ledger *ledger);

/* A request whose answer is among what is lost, so that it is there as it was before: has the client got it? */
struct ledger_doubt {
    uint64_t conn, offset, index; /* the request's key */
    uint64_t out_offset, out_len; /* where the answer was in the output, as far as that can still be told */
    uint64_t place;               /* in the log */
};
typedef void ledger_doubt_fn(void *arg, const struct ledger_doubt *doubt);
void ledger_each_doubt(const struct ledger *ledger, ledger_doubt_fn *visit, void *arg);

/* Of all records in the order of their keys, the same for the same records however they came to be. */
void ledger_digest(struct ledger *ledger, uint64_t *ret_digest);

/* A ledger with the same records and nothing else, in a file of its own: the caller's. */
MUST_CHECK int ledger_copy(struct ledger *ledger, int *ret_fd, struct theseus_error *err);

/* Leaves few dead bytes, those that come meanwhile, and what others are reading. May take some milliseconds for each 10
 * MiB; others may commit. */
MUST_CHECK int ledger_compact(struct ledger *ledger, struct theseus_error *err);

/* The same, and the memory that this has made free goes back to the system. For when little happens: what comes next
 * has to ask for some again. */
MUST_CHECK int ledger_shrink(struct ledger *ledger, struct theseus_error *err);

struct ledger_stats {
    size_t records, live_bytes; /* what there is */
    size_t used_bytes;          /* what it takes */
    uint64_t commits;           /* of this process, and copies made by compaction */
    uint64_t compactions;       /* pieces of the log that were given back */
};
struct ledger_stats ledger_stats(struct ledger *ledger);

DEFINE_CLEANUP(struct ledger *, ledger_free)
