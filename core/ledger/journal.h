/*
 * The journal: the log in its space. Batches are appended at the tail; extents disappear at the front. Both happen by
 * one store each, of the word in the head that says where the log ends, or begins: whatever happens to this process,
 * a batch is there as a whole or it is not there.
 *
 * A place in the log is one number, its extent's order and the bytes in it: later is larger, and nothing that is
 * published is changed or moved while its extent exists. So any thread may read up to journal_end() without the gate,
 * as long as it keeps the thread that drops extents from doing so.
 */
#pragma once

#include "ledger/space.h"

struct extent {
    uint32_t first, count; /* segments; 0: damaged or not there */
    uint32_t end;          /* bytes, once it is not the last one */
};

/* Places that are skipped. */
struct gap {
    uint64_t from, to;
};

struct ledger_doubt;

struct journal {
    struct gate gate;
    struct space space;
    struct format_head *head;
    uint64_t nonce;
    struct extent extents[EXTENTS_MAX]; /* by order modulo their number */
    uint64_t first, last;               /* orders; they and what follows change inside the gate only */
    uint32_t offset;                    /* of the end, in the last one */
    size_t fixed;                       /* bytes of the last one that are to be sealed */
    size_t segments;                    /* in use by the chain */
    size_t bytes;              /* that the batches in the chain take; less, for segments are not always filled */
    uint64_t batches;          /* appended by this process */
    _Atomic uint64_t end;      /* a place */
    _Atomic uint64_t appended; /* bytes, by this process */
    struct gap *gaps;          /* owned; what was found unreadable when it was opened, in order */
    size_t gap_count, gap_capacity;
    uint64_t opened; /* order of the last extent at that time */
    size_t damaged;  /* batches of which something is lost, at least: lost extents count as one */
    size_t lost;     /* records, at least: those of which nothing is left, and what they said is not known */
    size_t mended;   /* batches that were damaged in the log and were taken from the echo */
    size_t echo_at;  /* in the echo: behind what was put there last */
    struct ledger_doubt *doubts; /* owned */
    size_t doubt_count;
};

enum {
    PLACE_BITS = 30,            /* of the offset */
    PAGE_BYTES_MOST = 64 << 10, /* what is sealed are pages, whatever size they have */
};

static inline uint64_t place_make(uint64_t order, uint64_t offset) {
    return order << PLACE_BITS | offset;
}

static inline uint64_t place_order(uint64_t place) {
    return place >> PLACE_BITS;
}

static inline uint32_t place_offset(uint64_t place) {
    return (uint32_t)(place & ((UINT64_C(1) << PLACE_BITS) - 1));
}

/* Takes `fd`, when it succeeds. journal_create() makes what is in the file a new, empty journal. journal_open() counts
 * damage, and fails only for what is no journal of ours at all. */
MUST_CHECK int journal_create(struct journal *journal, int fd, struct theseus_error *err);
MUST_CHECK int journal_open(struct journal *journal, int fd, struct theseus_error *err);
void journal_close(struct journal *journal);

static inline struct extent *journal_extent(const struct journal *journal, uint64_t order) {
    return (struct extent *)&journal->extents[order % EXTENTS_MAX];
}

static inline const char *journal_at(const struct journal *journal, uint64_t place) {
    return space_segment(&journal->space, journal_extent(journal, place_order(place))->first) + place_offset(place);
}

static inline const struct format_record *journal_record(const struct journal *journal, uint64_t place) {
    return (const void *)journal_at(journal, place);
}

/* May there be a record at this place, by its lengths? */
static inline bool journal_fits(const struct journal *journal, uint64_t place) {
    size_t all = (size_t)journal_extent(journal, place_order(place))->count * SEGMENT_BYTES;

    return format_record_fits((struct span){journal_at(journal, place), all - place_offset(place)});
}

static inline uint64_t journal_end(const struct journal *journal) {
    return atomic_load_explicit(&journal->end, memory_order_acquire);
}

/* May something unreadable still be in the chain? */
static inline bool journal_is_damaged(const struct journal *journal) {
    return journal->damaged > 0 && journal->first <= journal->opened;
}

/* ---- reading ---- */

/* Where a reader is: at the next record, and where the batch ends that it is in. */
struct cursor {
    uint64_t place;
    uint32_t batch_end;
};

/* The next record before `end`, which is or was journal_end(), and its place; NULL: there is none, or, when the cursor
 * is before `end` still, what is there cannot be a record. */
const struct format_record *journal_next(const struct journal *journal, struct cursor *cursor, uint64_t end,
                                         uint64_t *ret_place);

/* ---- damage, while others go on writing ---- */

/* Outside the gate: what was written to this place, where a record or a batch begins, is there again. False: nobody
 * knows what it was. */
MUST_CHECK bool journal_heal(struct journal *journal, uint64_t place);

/* ---- writing ---- */

/* Inside the gate: room for a batch of so many bytes, which the caller fills at once, all of it. NULL: see `err`.
 * `grow` allows to ask the system for memory. */
struct room {
    enum room_for what_for;
    bool grow;
};
MUST_CHECK char *journal_room_locked(struct journal *journal, size_t len, struct room room, struct theseus_error *err);
void journal_publish_locked(struct journal *journal, size_t len, uint32_t count, uint64_t body);

/* Inside the gate: what comes from here on goes into another extent. */
MUST_CHECK int journal_roll_locked(struct journal *journal, struct room room, struct theseus_error *err);

/* For a batch that is too large to be copied inside the gate: an extent of its own, not yet in the chain. Outside the
 * gate. journal_link_locked() publishes it; or it is given back. */
struct detached {
    uint32_t first, count; /* segments; 0: none */
};
MUST_CHECK char *journal_detach(struct journal *journal, size_t len, enum room_for what_for,
                                struct detached *ret_detached, struct theseus_error *err);
void journal_link_locked(struct journal *journal, const struct detached *detached, size_t len, uint32_t count,
                         uint64_t body);
void journal_give_back(struct journal *journal, const struct detached *detached);

/* Inside the gate: the chain begins with the next extent from here on. Not with the last one. */
void journal_drop_first_locked(struct journal *journal);
