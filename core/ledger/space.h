/*
 * The room that the ledger lies in: a file, mapped at an address that never changes, of which segments are in use, free
 * or not there yet. The address range for all of it is reserved once; a segment is mapped when it has memory, so that
 * no access can fail.
 *
 * A segment that is full is made read-only, so that code gone astray finds out that it is, and cannot change anything.
 * Writable are the front, the segment at the log's end, those that are being filled, and memory with nothing in it.
 * That takes system calls, which every other processor that is at work here feels: it is done by whoever leaves the
 * gate, and not for a segment that is left early and soon empty.
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

struct segment {
    uint8_t state; /* enum segment_state */
    bool mapped;
    bool changing;   /* somebody is about to change its protection; nobody takes it meanwhile */
    uint32_t fixed;  /* bytes at its beginning that will not be written to before it is taken again */
    uint32_t sealed; /* bytes at its beginning that are read-only */
};

struct space {
    struct gate *gate;
    int fd;       /* owned */
    size_t front; /* bytes before the first segment */
    char *base;
    size_t bound; /* segments; no more are ever used */
    _Atomic size_t free_count, absent_count;
    _Atomic bool exhausted; /* there was no memory for more; until some comes back */
    _Atomic bool unguarded; /* nothing is sealed, nor has an echo, from here on */
    _Atomic bool unsealed;  /* there may be something to seal */
    _Atomic bool wanted;    /* a segment that is ready will soon be needed */
    _Atomic bool ready;     /* there is one, free and writable */
    _Atomic bool lean;      /* no memory is taken in advance */
    struct segment segments[SEGMENTS_MAX];
};

/* Takes `fd`, when it succeeds. The front is there and mapped, and every segment that the file has; all of them free,
 * and writable until space_tend(). */
MUST_CHECK int space_open(struct space *space, struct gate *gate, int fd, size_t front, struct theseus_error *err);
void space_close(struct space *space);

void space_set_bound(struct space *space, size_t bound);
void space_guard(struct space *space, bool guarded);

/* `count` segments that lie together and are ready, for use; returns the first, or -1. */
MUST_CHECK int space_take_locked(struct space *space, size_t count, enum room_for what_for);
void space_give_locked(struct space *space, size_t first, size_t count);

/* So many bytes of the run that begins with this segment will not be written to before it is taken again. */
void space_fix_locked(struct space *space, size_t first, size_t bytes);
void space_mark_used_locked(struct space *space, size_t first, size_t count);

/* The same with segments that are not ready, or get their memory now. It is the one that may be called inside the gate
 * as well, as the last resort of a caller that cannot leave it. */
MUST_CHECK int space_add(struct space *space, bool inside, size_t count, enum room_for what_for, int *ret_first,
                         struct theseus_error *err);

/* Keeps a few segments free, not more, not less, and seals what is to be sealed. Cheap when there is nothing to do. */
void space_tend(struct space *space);

/* There is a segment for space_take_locked(), if there is a free one; the second form only if one will soon be wanted.
 */
void space_make_ready(struct space *space);
void space_prepare(struct space *space);

/* For now and then, while the log is small: what large records have left behind goes back, a segment at a time. False:
 * that was all. */
bool space_tend_quiet(struct space *space);

static inline char *space_segment(const struct space *space, size_t segment) {
    return space->base + space->front + segment * SEGMENT_BYTES;
}
