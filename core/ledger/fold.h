/*
 * The fold: what the journal says, taken together. It follows the journal at a distance, outside of the gate: a commit
 * only appends, and the memory that the index needs is asked for here. Guarded by the ledger's fold lock.
 */
#pragma once

#include "ledger/index.h"

struct fold {
    struct journal *journal;
    struct index *index;       /* owned */
    struct cursor cursor;      /* everything before it is folded */
    _Atomic uint64_t followed; /* of journal->appended: bytes folded */
    size_t live_bytes;         /* of the records in the index */
    size_t live[EXTENTS_MAX];  /* the same for each extent, by order modulo their number */
    _Atomic uint64_t tended;   /* of `followed`, when compaction was last looked after */
    _Atomic bool dirty;        /* compaction has more to do; any thread may look */
    uint64_t compactions;      /* extents that were dropped */
    struct cursor compacted;   /* in the front extent: everything before it is dead or copied */
    uint64_t front;            /* order of the oldest extent with a live record; what is before it can be dropped … */
    unsigned pins[2]; /* … unless somebody still reads there: readers that came before and after the change */
    int parity;       /* which of them newcomers are counted in */
    bool broken;      /* the log was damaged while it was followed: nothing of it is given back any more */
    bool grace;       /* extents before this order are dropped when the earlier readers have left */
    uint64_t grace_order;
};

void fold_init(struct fold *fold, struct journal *journal);
void fold_fini(struct fold *fold);

/* Follows the journal, for about so many bytes; to its present end with SIZE_MAX. */
void fold_follow(struct fold *fold, size_t bytes);

/* How far it is behind, in bytes; any thread, without the lock. */
size_t fold_backlog(const struct fold *fold);
/* The same for compaction, whoever has followed meanwhile; and from here on it is not behind. */
size_t fold_untended(const struct fold *fold);
void fold_tended(struct fold *fold);

/* The log does not say any more what was folded. For whoever opens it next it is as sound as it can be; this process
 * does what it can with what it has read. */
void fold_note_broken(struct fold *fold);
