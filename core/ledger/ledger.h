/*
 * The ledger: the facts that outlive the process image, as records under keys.
 *
 * Facts that change together are put into one batch and committed at once. One lock, the gate, covers exactly: a read
 * from a client and the record of it; a write to a client and the record of it; any other commit. It is held for
 * microseconds, never across plugin code, a blocking call or another lock.
 *
 * Here the records live in a table in memory. Any thread may commit.
 */
#pragma once

#include "base/mem.h"
#include "ledger/records.h"

struct ledger;

struct ledger *ledger_new(void);
struct ledger *ledger_free(struct ledger *ledger);

/* Changes that will become visible together. Zeroed memory is an empty batch; built without the gate. */
struct batch {
    struct buf ops;
    bool failed; /* no memory for one of them: committing fails as a whole */
};

void batch_put(struct batch *batch, const struct record_kind *kind, const void *record);
void batch_drop(struct batch *batch, const struct record_kind *kind, const void *record); /* looks at the key only */
void batch_fini(struct batch *batch);
void batch_fini_cleanup(struct batch *batch);

void ledger_enter(struct ledger *ledger); /* takes the gate */
void ledger_leave(struct ledger *ledger);

/* All of the batch or nothing; the batch is empty afterwards. The second form is for a caller that holds the gate. */
MUST_CHECK int ledger_commit(struct ledger *ledger, struct batch *batch, struct theseus_error *err);
MUST_CHECK int ledger_commit_locked(struct ledger *ledger, struct batch *batch, struct theseus_error *err);

/* One put or one drop, by itself. */
MUST_CHECK int ledger_put(struct ledger *ledger, const struct record_kind *kind, const void *record,
                          struct theseus_error *err);
MUST_CHECK int ledger_drop(struct ledger *ledger, const struct record_kind *kind, const void *record,
                           struct theseus_error *err);

/* Visits the records of a kind in the order of their keys. What `record` points to is good until `visit` returns; the
 * ledger may be changed inside it. A damaged record is left out and logged. */
typedef void ledger_visit_fn(void *arg, const void *record);
void ledger_each(struct ledger *ledger, const struct record_kind *kind, ledger_visit_fn *visit, void *arg);

/* The same for the one record that has the key of `like`, if there is one. */
void ledger_find(struct ledger *ledger, const struct record_kind *kind, const void *like, ledger_visit_fn *visit,
                 void *arg);

size_t ledger_count(struct ledger *ledger); /* records, for the health of tests */

DEFINE_CLEANUP(struct ledger *, ledger_free)
