#include "ledger/echo.h"

/* So much without an echo is open to writing before it is sealed, all but its last pages. */
enum { OPEN_BYTES = 512 << 10 };

/* ---- places that change ---- */

/* The word in the head is what another process image will believe; the place beside it is for this one's readers. */
static void set_end(struct journal *journal) {
    const struct extent *extent = journal_extent(journal, journal->last);
    uint64_t tail = (uint64_t)extent->first << PLACE_BITS | journal->offset / FORMAT_ALIGN;

    atomic_store_explicit(&journal->head->tail, format_seal(tail, journal->nonce), memory_order_release);
    atomic_store_explicit(&journal->end, place_make(journal->last, journal->offset), memory_order_release);
}

static char *at_offset(const struct journal *journal) {
    return space_segment(&journal->space, journal_extent(journal, journal->last)->first) + journal->offset;
}

static size_t extent_bytes(const struct extent *extent) {
    return (size_t)extent->count * SEGMENT_BYTES;
}

/* Returns where it stands. */
static const struct format_batch *write_head(const struct journal *journal, struct format_batch *head, uint64_t order,
                                             uint64_t offset) {
    char *to = space_segment(&journal->space, journal_extent(journal, order)->first) + offset;

    head->check = format_batch_check(head, journal->nonce, order, offset);
    memcpy(to, head, sizeof(*head));
    return (const void *)to;
}

/* `full`: the extent before it is sealed. One that is left early soon holds nothing: to seal it would be of no use.
 * Behind the end, where nothing exists yet: the mark, and the next extent as the last one. The next set_end() makes
 * both true. */
static void chain(struct journal *journal, uint32_t first, uint32_t count, bool full) {
    uint64_t word = format_seal((journal->last + 1) << 10 | (count - 1), journal->nonce);
    struct extent *last = journal_extent(journal, journal->last);
    struct format_batch end = {.magic = END_MAGIC};

    if (journal->last >= journal->first && last->count > 0) {
        last->end = journal->offset;
        if (extent_bytes(last) - journal->offset >= sizeof(end))
            echo_add_locked(journal, write_head(journal, &end, journal->last, journal->offset), sizeof(end));
        if (full)
            space_fix_locked(&journal->space, last->first, extent_bytes(last));
    }
    journal->head->extents[0][first] = journal->head->extents[1][first] = word;
    journal->last++;
    *journal_extent(journal, journal->last) = (struct extent){first, count, 0};
    journal->offset = 0;
    journal->fixed = 0;
    journal->echo_at = 0; /* of a small log, all of what it works in has an echo, in the same few pages */
    journal->segments += count;
}

static int segments_for(size_t len, uint32_t *ret_count, struct theseus_error *err) {
    size_t all = sizeof(struct format_batch) + len;

    if (all > LIMIT_LEDGER_BATCH)
        return fail(err, ERR_LIMIT, "%zu bytes cannot be recorded at once, at most %d can", len, LIMIT_LEDGER_BATCH);
    *ret_count = (uint32_t)((all + SEGMENT_BYTES - 1) / SEGMENT_BYTES);
    return 0;
}

static int next_extent(struct journal *journal, size_t len, struct room room, bool full, struct theseus_error *err) {
    uint32_t count = 0;

    if (segments_for(len, &count, err) < 0)
        return -1;
    int first = space_take_locked(&journal->space, count, room.what_for);
    if (first < 0 && !room.grow)
        return fail(err, ERR_LIMIT, "the ledger has no room ready");
    if (first < 0 && space_add(&journal->space, true, count, room.what_for, &first, err) < 0)
        return -1;
    chain(journal, (uint32_t)first, count, full);
    return 0;
}

char *journal_room_locked(struct journal *journal, size_t len, struct room room, struct theseus_error *err) {
    const struct extent *last = journal_extent(journal, journal->last);

    if (sizeof(struct format_batch) + len > extent_bytes(last) - journal->offset &&
        next_extent(journal, len, room, true, err) < 0)
        return NULL;
    return at_offset(journal) + sizeof(struct format_batch);
}

/* What has no echo is not left open until the extent is full. */
static void fix(struct journal *journal, uint32_t count, size_t len) {
    const struct extent *last = journal_extent(journal, journal->last);
    size_t left = extent_bytes(last) - journal->offset;

    if (!echo_has(count, len) && (len > ECHO_LONGEST || journal->offset - journal->fixed > OPEN_BYTES)) {
        journal->fixed = journal->offset / PAGE_BYTES_MOST * PAGE_BYTES_MOST;
        space_fix_locked(&journal->space, last->first, journal->fixed);
    }
    atomic_store_explicit(&journal->space.wanted, left < ECHO_LONGEST, memory_order_relaxed);
}

void journal_publish_locked(struct journal *journal, size_t len, uint32_t count, uint64_t body) {
    struct format_batch head = {BATCH_MAGIC, count, len, body, 0};

    const struct format_batch *batch = write_head(journal, &head, journal->last, journal->offset);
    journal->offset += (uint32_t)(sizeof(head) + len);
    journal->bytes += sizeof(head) + len;
    journal->batches++;
    atomic_store_explicit(&journal->appended, atomic_load_explicit(&journal->appended, memory_order_relaxed) + len,
                          memory_order_relaxed);
    set_end(journal);
    echo_add_locked(journal, batch, sizeof(head) + len);
    fix(journal, count, sizeof(head) + len);
}

int journal_roll_locked(struct journal *journal, struct room room, struct theseus_error *err) {
    if (next_extent(journal, 0, room, false, err) < 0)
        return -1;
    journal_publish_locked(journal, 0, 0, 0); /* an extent without a single byte would look like a hole in the file */
    return 0;
}

char *journal_detach(struct journal *journal, size_t len, enum room_for what_for, struct detached *ret_detached,
                     struct theseus_error *err) {
    uint32_t count = 0;

    if (segments_for(len, &count, err) < 0)
        return NULL;
    gate_enter(&journal->gate);
    int first = space_take_locked(&journal->space, count, what_for);
    gate_leave(&journal->gate);
    if (first < 0 && space_add(&journal->space, false, count, what_for, &first, err) < 0)
        return NULL;
    *ret_detached = (struct detached){(uint32_t)first, count};
    return space_segment(&journal->space, (size_t)first) + sizeof(struct format_batch);
}

void journal_link_locked(struct journal *journal, const struct detached *detached, size_t len, uint32_t count,
                         uint64_t body) {
    chain(journal, detached->first, detached->count, true);
    journal_publish_locked(journal, len, count, body);
}

void journal_give_back(struct journal *journal, const struct detached *detached) {
    if (detached->count == 0)
        return;
    gate_enter(&journal->gate);
    space_give_locked(&journal->space, detached->first, detached->count);
    gate_leave(&journal->gate);
}

void journal_drop_first_locked(struct journal *journal) {
    struct extent *extent = journal_extent(journal, journal->first);

    atomic_store_explicit(&journal->head->first, format_seal(journal->first + 1, journal->nonce), memory_order_release);
    if (extent->count > 0)
        space_give_locked(&journal->space, extent->first, extent->count);
    journal->segments -= extent->count;
    journal->bytes -= extent->end;
    journal->first++;
}

/* ---- reading ---- */

/* The record where the cursor is inside a batch. */
static const struct format_record *in_batch(const struct journal *journal, struct cursor *cursor, uint64_t *ret_place) {
    const struct format_record *record = journal_record(journal, cursor->place);

    if (!format_record_fits((struct span){(const char *)record, cursor->batch_end - place_offset(cursor->place)}))
        return NULL;
    *ret_place = cursor->place;
    cursor->place += format_record_bytes(record);
    return record;
}

/* The cursor is where a batch begins, and goes to its first record. */
static bool enter_batch(const struct journal *journal, struct cursor *cursor, uint64_t end) {
    const struct format_batch *batch = (const void *)journal_at(journal, cursor->place);
    uint64_t order = place_order(cursor->place), offset = place_offset(cursor->place);
    size_t limit = order < place_order(end) ? journal_extent(journal, order)->end : place_offset(end);

    if (batch->magic != BATCH_MAGIC || limit - offset < sizeof(*batch) || batch->len > limit - offset - sizeof(*batch))
        return false;
    cursor->place += sizeof(*batch);
    cursor->batch_end = (uint32_t)(offset + sizeof(*batch) + batch->len);
    return true;
}

/* Where to go on when this place is a gap's. */
static uint64_t behind_gap(const struct journal *journal, uint64_t place) {
    size_t low = 0, high = journal->gap_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (journal->gaps[middle].from < place)
            low = middle + 1;
        else
            high = middle;
    }
    return low < journal->gap_count && journal->gaps[low].from == place ? journal->gaps[low].to : place;
}

const struct format_record *journal_next(const struct journal *journal, struct cursor *cursor, uint64_t end,
                                         uint64_t *ret_place) {
    while (cursor->place < end) {
        uint64_t order = place_order(cursor->place);
        uint32_t offset = place_offset(cursor->place);
        if (offset < cursor->batch_end)
            return in_batch(journal, cursor, ret_place);
        uint64_t behind = journal->gap_count > 0 ? behind_gap(journal, cursor->place) : cursor->place;
        if (behind != cursor->place) {
            *cursor = (struct cursor){behind, 0};
            continue;
        }
        if (order < place_order(end) && offset >= journal_extent(journal, order)->end) {
            *cursor = (struct cursor){place_make(order + 1, 0), 0};
            continue;
        }
        if (!enter_batch(journal, cursor, end))
            return NULL;
    }
    return NULL;
}
