/*
 * The room that the ledger lies in: a file, mapped at an address that never changes, of which segments are in use, free
 * or not there yet. The address range for all of it is reserved once; a segment is mapped when it has memory, so that
 * no access can fail.
 *
 * The functions that end in _locked are called inside the gate and make no system call; the others outside of it.
 */
#pragma once

#include "ledger/format.h"
#include "ledger/gate.h"

/* What room is wanted for; each may take what the one before it must leave. */
enum room_for {
    ROOM_WORK,    /* something new */
    ROOM_ANSWER,  /* what ends something that was accepted */
    ROOM_NOTHING, /* drops, which free more than they take */
    ROOM_MORE,    /* compaction */
};

enum segment_state { SEGMENT_ABSENT, SEGMENT_FREE, SEGMENT_USED };

struct space {
    struct gate *gate;
    int fd; /* owned */
    char *base;
    size_t bound; /* segments; no more are ever used */
    _Atomic size_t free_count, absent_count;
    _Atomic bool exhausted;       /* there was no memory for more; until some comes back */
    uint8_t states[SEGMENTS_MAX]; /* enum segment_state */
    bool mapped[SEGMENTS_MAX];
};

/* Takes `fd`, when it succeeds. The head is there and mapped, and every segment that the file has; all of them free. */
MUST_CHECK int space_open(struct space *space, struct gate *gate, int fd, struct theseus_error *err);
void space_close(struct space *space);

void space_set_bound(struct space *space, size_t bound);

/* `count` segments that lie together, for use; returns the first, or -1. */
MUST_CHECK int space_take_locked(struct space *space, size_t count, enum room_for what_for);
void space_give_locked(struct space *space, size_t first, size_t count);
void space_mark_used_locked(struct space *space, size_t first, size_t count);

/* The same with segments that get their memory now. It is the one that may be called inside the gate as well, as the
 * last resort of a caller that cannot leave it. */
MUST_CHECK int space_add(struct space *space, bool inside, size_t count, enum room_for what_for, int *ret_first,
                         struct theseus_error *err);

/* Keeps a few free segments ready, not more, not less. Cheap when there is nothing to do. */
void space_tend(struct space *space);

/* For now and then, while the log is small: what large records have left behind goes back, a segment at a time. */
void space_tend_quiet(struct space *space);

static inline char *space_segment(const struct space *space, size_t segment) {
    return space->base + sizeof(struct format_head) + segment * SEGMENT_BYTES;
}
