#include "ledger/compact.h"

#include "base/log.h"

enum {
    MOVES = 128,                 /* records copied in one step … */
    MOVED_BYTES = 64 << 10,      /* … or so many bytes; or one record that is larger */
    LOOKED_AT_BYTES = 256 << 10, /* of the extent, in one step */
    DETACHED_BYTES = 256 << 10,  /* a record of this size is copied before the gate is taken */
    NEWER_BYTES = 32 << 10,      /* looked through inside the gate; more is folded first */
    TRIES = 8,
    WAITING_BYTES = 8 * SEGMENT_BYTES,
    TURN_BYTES = 128 << 10,         /* dead bytes in a log of one extent that end it */
    LITTLE_SLACK = 2 * TURN_BYTES,  /* dead bytes that are always allowed, when little is live … */
    MOST_SLACK = 2 * SEGMENT_BYTES, /* … and when much is */
};

struct move {
    const struct format_record *record; /* NULL: it has changed meanwhile */
    size_t bytes;
    uint64_t tag;
};

struct moves {
    struct move moves[MOVES];
    size_t count, bytes;
};

/* The next records of the front extent that are live. */
static void choose(struct fold *fold, struct moves *moves) {
    const struct journal *journal = fold->journal;
    uint64_t order = fold->front, place, start;
    const struct format_record *record;

    if (place_order(fold->compacted.place) != order)
        fold->compacted = (struct cursor){place_make(order, 0), 0};
    start = fold->compacted.place;
    for (;;) {
        struct cursor before = fold->compacted;
        if (moves->count == MOVES || before.place - start > LOOKED_AT_BYTES)
            return;
        record = journal_next(journal, &fold->compacted, place_make(order + 1, 0), &place);
        if (!record && place_order(fold->compacted.place) == order)
            fold_note_broken(fold);
        if (!record)
            return;
        struct span key = format_key(record);
        uint64_t tag = index_tag(key);
        size_t bytes = format_record_bytes(record);
        if ((record->flags & RECORD_DROP) || index_get(fold->index, tag, key) != place)
            continue;
        if (format_record_check(record) != record->check && !journal_heal(fold->journal, place))
            log_warning("a damaged record is carried on as it is");
        if (moves->count > 0 && moves->bytes + bytes > MOVED_BYTES) {
            fold->compacted = before;
            return;
        }
        moves->moves[moves->count++] = (struct move){record, bytes, tag};
        moves->bytes += bytes;
    }
}

/* Inside the gate: strikes out what was changed since the fold. False: too much has come to look through. */
static bool strike_out(const struct fold *fold, struct moves *moves) {
    struct cursor cursor = fold->cursor;
    uint64_t end = journal_end(fold->journal), place;
    const struct format_record *record;
    size_t looked_at = 0;

    while ((record = journal_next(fold->journal, &cursor, end, &place))) {
        struct span key = format_key(record);
        uint64_t tag = index_tag(key);
        looked_at += sizeof(struct format_record) + key.len;
        if (looked_at > NEWER_BYTES)
            return false;
        for (size_t i = 0; i < moves->count; i++) {
            struct move *move = &moves->moves[i];
            if (move->record && move->tag == tag && span_same(format_key(move->record), key)) {
                moves->bytes -= move->bytes;
                move->record = NULL;
            }
        }
    }
    return cursor.place >= end;
}

static void copy(const struct moves *moves, char *to, uint32_t *ret_count, uint64_t *ret_body) {
    *ret_count = 0;
    *ret_body = 0;
    for (size_t i = 0; i < moves->count; i++) {
        const struct move *move = &moves->moves[i];
        if (!move->record)
            continue;
        memcpy(to, move->record, move->bytes);
        to += move->bytes;
        *ret_body = format_body(*ret_body, move->record->check);
        (*ret_count)++;
    }
}

static int move_inside(struct journal *journal, const struct moves *moves) {
    const struct room room = {.what_for = ROOM_MORE, .grow = false};
    uint64_t body;
    uint32_t count;

    char *to = journal_room_locked(journal, moves->bytes, room, NULL);
    if (!to)
        return -1;
    copy(moves, to, &count, &body);
    journal_publish_locked(journal, moves->bytes, count, body);
    return 0;
}

/* Returns 0 also when nothing was left to copy. */
static int move_small(struct fold *fold, struct moves *moves) {
    int r = -1;

    space_prepare(&fold->journal->space);
    gate_enter(&fold->journal->gate);
    if (strike_out(fold, moves))
        r = moves->bytes > 0 ? move_inside(fold->journal, moves) : 0;
    gate_leave(&fold->journal->gate);
    return r;
}

static int move_large(struct fold *fold, struct moves *moves) {
    struct detached detached = {0};
    size_t bytes = moves->bytes;
    uint64_t body;
    uint32_t count;

    char *to = journal_detach(fold->journal, bytes, ROOM_MORE, &detached, NULL);
    if (!to)
        return -1;
    copy(moves, to, &count, &body);
    gate_enter(&fold->journal->gate);
    bool known = strike_out(fold, moves), linked = known && moves->bytes == bytes;
    if (linked)
        journal_link_locked(fold->journal, &detached, bytes, count, body);
    gate_leave(&fold->journal->gate);
    if (!linked)
        journal_give_back(fold->journal, &detached);
    return known ? 0 : -1;
}

static void drop_before(struct fold *fold, uint64_t order) {
    struct journal *journal = fold->journal;

    gate_enter(&journal->gate);
    while (journal->first < order) {
        journal_drop_first_locked(journal);
        fold->compactions++;
    }
    gate_leave(&journal->gate);
}

/* Drops what is before the front, or sees to it that the last reader does. */
static void reclaim(struct fold *fold) {
    if (fold->grace && fold->pins[!fold->parity] == 0) {
        drop_before(fold, fold->grace_order);
        fold->grace = false;
    }
    if (fold->grace || fold->front == fold->journal->first)
        return;
    if (fold->pins[fold->parity] == 0) {
        drop_before(fold, fold->front);
        return;
    }
    fold->grace = true;
    fold->grace_order = fold->front;
    fold->parity = !fold->parity;
}

int compact_pin(struct fold *fold) {
    fold->pins[fold->parity]++;
    return fold->parity;
}

void compact_unpin(struct fold *fold, int pin) {
    if (--fold->pins[pin] == 0)
        reclaim(fold);
}

/* Behind what is dead. */
static bool advance(struct fold *fold) {
    uint64_t before = fold->front;

    while (fold->front < place_order(fold->cursor.place) && fold->live[fold->front % EXTENTS_MAX] == 0)
        fold->front++;
    reclaim(fold);
    return fold->front > before;
}

/* The front extent was gone through, and nothing in it is live. */
static void check_empty(struct fold *fold) {
    fold_follow(fold, SIZE_MAX);
    if (fold->live[fold->front % EXTENTS_MAX] > 0)
        fold_note_broken(fold); /* there was something under a key that is another one now */
}

static int try_step(struct fold *fold) {
    struct moves moves = {.count = 0};
    struct cursor before = fold->compacted;

    choose(fold, &moves);
    if (moves.count == 0 && place_order(fold->compacted.place) > fold->front)
        check_empty(fold);
    if (moves.count == 0)
        return 0;
    int r = moves.bytes > DETACHED_BYTES ? move_large(fold, &moves) : move_small(fold, &moves);
    if (r < 0)
        fold->compacted = before;
    fold_follow(fold, SIZE_MAX);
    return r;
}

/* Fails for want of room, or because others commit so much that it never gets a look at all of it. */
static bool step(struct fold *fold) {
    for (int i = 0; i < TRIES; i++)
        if (try_step(fold) == 0)
            return true;
    return false;
}

size_t compact_waiting(const struct fold *fold, size_t *ret_bytes) {
    size_t segments = 0;

    *ret_bytes = 0;
    for (uint64_t order = fold->journal->first; order < fold->front; order++) {
        segments += journal_extent(fold->journal, order)->count;
        *ret_bytes += journal_extent(fold->journal, order)->end;
    }
    return segments;
}

/* No faster than readers leave: what waits for them is room as well. */
static bool must_wait(const struct fold *fold) {
    size_t bytes;

    return compact_waiting(fold, &bytes) * SEGMENT_BYTES > fold->live_bytes + WAITING_BYTES;
}

bool compact_step_before(struct fold *fold, uint64_t order) {
    fold_follow(fold, SIZE_MAX);
    if (fold->broken)
        return false;
    if (advance(fold))
        return true;
    return fold->front < order && !must_wait(fold) && step(fold);
}

/* Nearly full: then less dead bytes are worth the work. */
static bool is_tight(const struct journal *journal) {
    size_t left = atomic_load(&journal->space.free_count);

    if (!atomic_load(&journal->space.exhausted))
        left += atomic_load(&journal->space.absent_count);
    return left < journal->segments / 8 + 2 * (LIMIT_LEDGER_RESERVE / SEGMENT_BYTES);
}

size_t compact_dead_bytes(const struct fold *fold) {
    size_t waiting;

    (void)compact_waiting(fold, &waiting);
    gate_enter(&fold->journal->gate);
    size_t bytes = fold->journal->bytes - waiting;
    gate_leave(&fold->journal->gate);
    return bytes > fold->live_bytes ? bytes - fold->live_bytes : 0;
}

static bool may_turn(const struct fold *fold) {
    struct journal *journal = fold->journal;

    gate_enter(&journal->gate);
    bool may = fold->front == journal->first && fold->front == journal->last && !is_tight(journal);
    gate_leave(&journal->gate);
    return may;
}

/* A log with few live records takes turns in two segments and fills neither: what it works in is small and remains the
 * same memory. One that waits for readers goes on where it is. */
static bool turn(struct fold *fold) {
    const struct room room = {.what_for = ROOM_WORK, .grow = false};
    struct journal *journal = fold->journal;
    bool turned = false;

    if (!may_turn(fold))
        return false;
    space_make_ready(&journal->space);
    gate_enter(&journal->gate);
    if (fold->front == journal->last)
        turned = journal_roll_locked(journal, room, NULL) == 0;
    gate_leave(&journal->gate);
    if (turned)
        (void)space_tend_quiet(&journal->space);
    return turned;
}

static size_t slack_of(const struct fold *fold) {
    size_t slack = LITTLE_SLACK + fold->live_bytes;

    return slack < MOST_SLACK ? slack : MOST_SLACK;
}

bool compact_step(struct fold *fold) {
    struct journal *journal = fold->journal;

    if (fold->broken)
        return false;
    if (advance(fold))
        return true;
    size_t dead = compact_dead_bytes(fold);
    if (dead > TURN_BYTES + fold->live_bytes && turn(fold))
        return true;
    gate_enter(&journal->gate);
    uint64_t last = journal->last;
    bool tight = is_tight(journal);
    gate_leave(&journal->gate);
    if (dead <= slack_of(fold) + (tight ? fold->live_bytes / 8 : fold->live_bytes))
        return false;
    return compact_step_before(fold, last);
}
