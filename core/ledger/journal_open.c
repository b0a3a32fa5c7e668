/*
 * Making a journal, and finding one's way in a file that another process image has left, perhaps in the middle of a
 * step, perhaps damaged.
 *
 * What the head says is believed where its checksums hold. An extent whose entry is lost is left out; without the word
 * for the end, the log ends behind the last batch that can be read; without the word for the beginning, it begins with
 * the oldest extent from which the chain has no hole: the records there have only been superseded. In an extent the
 * next batch is where the one before it ends; where that is no batch, the next one is looked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "ledger/echo.h"
#include "ledger/mend.h"

static const struct room opening = {.what_for = ROOM_MORE, .grow = true};

static int start(struct journal *journal, int fd, size_t front, struct theseus_error *err) {
    if (space_open(&journal->space, &journal->gate, fd, front, err) < 0)
        return -1;
    journal->head = (void *)journal->space.base;
    return 0;
}

void journal_close(struct journal *journal) {
    space_close(&journal->space);
    free(TAKE_PTR(journal->gaps));
    free(TAKE_PTR(journal->doubts));
    journal->head = NULL;
}

/* The caller keeps its descriptor when it gets an error. */
static int abandon(struct journal *journal) {
    journal->space.fd = -1;
    journal_close(journal);
    return -1;
}

int journal_create(struct journal *journal, int fd, struct theseus_error *err) {
    struct format_identity identity;

    if (start(journal, fd, FORMAT_FRONT, err) < 0)
        return -1;
    if (getrandom(&journal->nonce, sizeof(journal->nonce), 0) != sizeof(journal->nonce)) {
        (void)fail_errno(err, "no random number for a ledger");
        return abandon(journal);
    }
    memset(journal->head, 0, sizeof(*journal->head));
    journal->first = 1;
    atomic_store(&journal->head->first, format_seal(journal->first, journal->nonce));
    if (journal_roll_locked(journal, opening, err) < 0)
        return abandon(journal);
    format_make_identity(&identity, journal->nonce);
    journal->head->identity_copy = identity;
    journal->head->identity = identity;
    return 0;
}

/* ---- the chain ---- */

/* What the head's table says about one extent. */
struct entry {
    uint64_t order;
    uint32_t first, count;
};

static bool read_entry(const struct journal *journal, size_t table, size_t segment, struct entry *ret_entry) {
    uint64_t value = 0;

    if (!format_unseal(journal->head->extents[table][segment], journal->nonce, &value))
        return false;
    *ret_entry = (struct entry){value >> 10, (uint32_t)segment, (uint32_t)(value & 1023) + 1};
    if (ret_entry->order == 0 || segment + ret_entry->count > SEGMENTS_MAX)
        return false;
    for (size_t i = 0; i < ret_entry->count; i++)
        if (journal->space.segments[segment + i].state == SEGMENT_ABSENT)
            return false;
    return true;
}

/* The order of the extent at `segment`, 0: there is none. */
static uint64_t order_at(const struct journal *journal, size_t segment) {
    struct entry entry;

    for (size_t table = 0; table < 2; table++)
        if (read_entry(journal, table, segment, &entry))
            return entry.order;
    return 0;
}

static uint64_t highest_order(const struct journal *journal) {
    uint64_t highest = 0;

    for (size_t segment = 0; segment < SEGMENTS_MAX; segment++) {
        uint64_t order = order_at(journal, segment);
        if (order > highest)
            highest = order;
    }
    return highest;
}

/* Sets the last extent's order, and where it ends, UINT32_MAX: nobody knows. */
static void find_last(struct journal *journal) {
    uint64_t tail = 0;

    journal->offset = UINT32_MAX;
    if (format_unseal(journal->head->tail, journal->nonce, &tail) && tail >> PLACE_BITS < SEGMENTS_MAX) {
        journal->last = order_at(journal, tail >> PLACE_BITS);
        journal->offset = (uint32_t)(tail & ((1 << PLACE_BITS) - 1)) * FORMAT_ALIGN;
    }
    if (journal->last == 0) {
        journal->last = highest_order(journal);
        journal->offset = UINT32_MAX;
        journal->damaged++;
    }
}

static bool is_unused(const struct journal *journal, const struct entry *entry) {
    for (size_t i = 0; i < entry->count; i++)
        if (journal->space.segments[entry->first + i].state != SEGMENT_FREE)
            return false;
    return true;
}

/* Takes the extents with these orders into the chain, and forgets every other one. */
static void take_extents(struct journal *journal, uint64_t from, uint64_t to) {
    for (size_t segment = 0; segment < SEGMENTS_MAX; segment++) {
        bool taken = false;
        for (size_t table = 0; table < 2 && !taken; table++) {
            struct entry entry;
            if (!read_entry(journal, table, segment, &entry) || entry.order < from || entry.order > to ||
                journal_extent(journal, entry.order)->count > 0 || !is_unused(journal, &entry))
                continue;
            *journal_extent(journal, entry.order) = (struct extent){entry.first, entry.count, 0};
            space_mark_used_locked(&journal->space, entry.first, entry.count);
            journal->segments += entry.count;
            uint64_t word = journal->head->extents[table][segment];
            journal->head->extents[0][segment] = journal->head->extents[1][segment] = word;
            taken = true;
        }
        if (!taken)
            journal->head->extents[0][segment] = journal->head->extents[1][segment] = 0;
    }
}

static bool find_order(const struct journal *journal, uint64_t order) {
    for (size_t segment = 0; segment < SEGMENTS_MAX; segment++)
        if (order_at(journal, segment) == order)
            return true;
    return false;
}

static void find_first(struct journal *journal) {
    uint64_t first = 0;
    bool known = format_unseal(journal->head->first, journal->nonce, &first) && first > 0 && first <= journal->last &&
                 journal->last - first < SEGMENTS_MAX;

    if (!known) {
        first = journal->last ? journal->last : 1;
        while (first > 1 && journal->last - first + 1 < SEGMENTS_MAX && find_order(journal, first - 1))
            first--;
        atomic_store(&journal->head->first, format_seal(first, journal->nonce));
    }
    journal->first = first;
}

/* ---- the batches of an extent ---- */

static void add_gap(struct journal *journal, uint64_t order, size_t from, size_t to) {
    if (journal->gap_count == journal->gap_capacity) {
        journal->gap_capacity = journal->gap_capacity ? 2 * journal->gap_capacity : 4;
        journal->gaps = xreallocarray(journal->gaps, journal->gap_capacity, sizeof(*journal->gaps));
    }
    journal->gaps[journal->gap_count++] = (struct gap){place_make(order, from), place_make(order, to)};
    journal->lost++;
}

/* Between these places is what is no sound batch. */
static void save_what_is_left(struct journal *journal, uint64_t order, size_t from, size_t to) {
    journal->damaged++;
    if (!mend_batch(journal, order, from, to))
        add_gap(journal, order, from, to);
}

/* Is there the head of a batch, or an end mark, of this extent at this place? */
static const struct format_batch *batch_at(const struct journal *journal, uint64_t order, size_t offset, size_t limit) {
    const struct format_batch *batch = (const void *)journal_at(journal, place_make(order, offset));

    if (limit - offset < sizeof(*batch) || (batch->magic != BATCH_MAGIC && batch->magic != END_MAGIC) ||
        batch->len > limit - offset - sizeof(*batch) || batch->len % FORMAT_ALIGN != 0 ||
        batch->check != format_batch_check(batch, journal->nonce, order, offset))
        return NULL;
    return batch;
}

/* The first place from `offset` on where there is one; `limit`: nowhere. */
static size_t find_batch(const struct journal *journal, uint64_t order, size_t offset, size_t limit) {
    while (offset + sizeof(struct format_batch) <= limit && !batch_at(journal, order, offset, limit))
        offset += FORMAT_ALIGN;
    return offset + sizeof(struct format_batch) <= limit ? offset : limit;
}

/* As it should be at this place; NULL: it is damaged, or there is none. */
static const struct format_batch *take_from_echo(struct journal *journal, uint64_t order, size_t offset, size_t limit) {
    const struct format_batch *batch = echo_find(journal, order, offset);
    char *at = (char *)journal_at(journal, place_make(order, offset));

    if (!batch || batch->len > limit - offset - sizeof(*batch))
        return NULL;
    memcpy(at, batch, sizeof(*batch) + batch->len);
    journal->mended++;
    return (const void *)at;
}

static bool is_sound(const struct format_batch *batch) {
    return batch->magic == END_MAGIC ||
           format_body_is_sound(batch, (struct span){(const char *)(batch + 1), batch->len});
}

/* Looks at every batch up to `limit`, which `exact` says is the end of the last one. Returns where that ends;
 * *ret_marked: in an end mark. */
static size_t check_batches(struct journal *journal, uint64_t order, size_t limit, bool exact, bool *ret_marked) {
    size_t offset = 0;

    *ret_marked = false;
    while (offset + sizeof(struct format_batch) <= limit) {
        const struct format_batch *batch = batch_at(journal, order, offset, limit), *echo = NULL;
        bool sound = batch && is_sound(batch);
        if (!sound && (echo = take_from_echo(journal, order, offset, limit)))
            batch = echo;
        size_t next = batch ? offset + sizeof(*batch) + batch->len : find_batch(journal, order, offset, limit);
        if (batch && batch->magic == END_MAGIC) {
            *ret_marked = true;
            break;
        }
        if (!batch && next == limit && !exact)
            break;
        if (!sound && !echo)
            save_what_is_left(journal, order, offset, next);
        offset = next;
    }
    return offset;
}

static void check_extent(struct journal *journal, uint64_t order) {
    struct extent *extent = journal_extent(journal, order);
    size_t all = (size_t)extent->count * SEGMENT_BYTES;
    bool is_last = order == journal->last, marked = false;

    if (extent->count == 0) {
        journal->damaged++;
        return;
    }
    if (is_last && journal->offset > all)
        journal->offset = UINT32_MAX;
    size_t limit = is_last && journal->offset != UINT32_MAX ? journal->offset : all;
    bool exact = is_last && limit == journal->offset;
    size_t end = check_batches(journal, order, limit, exact, &marked);
    if (exact && end < limit) {
        save_what_is_left(journal, order, end, limit); /* it ends where its word says, whatever is there */
        end = limit;
    } else if (!is_last && !marked && limit - end >= sizeof(struct format_batch)) {
        journal->damaged++;
    }
    extent->end = (uint32_t)end;
    journal->bytes += end;
    if (is_last)
        journal->offset = (uint32_t)end;
    else
        space_fix_locked(&journal->space, extent->first, all);
}

/* ---- all of it ---- */

static bool is_known(uint32_t format) {
    return format == FORMAT_NUMBER || format == FORMAT_WITHOUT_ECHO;
}

/* Either of the two. A file that could not be read is not therefore damaged. */
static int read_identity(int fd, struct format_identity *ret_identity, struct theseus_error *err) {
    static const off_t places[] = {offsetof(struct format_head, identity), offsetof(struct format_head, identity_copy)};
    struct theseus_error unread = {0};

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        ssize_t n = pread(fd, ret_identity, sizeof(*ret_identity), places[i]);
        if (n < 0)
            (void)fail_errno(&unread, "cannot read the ledger's head");
        if (n == sizeof(*ret_identity) && format_is_identity(ret_identity))
            return is_known(ret_identity->format) && ret_identity->segment_bytes == SEGMENT_BYTES
                       ? 0
                       : fail(err, ERR_NEWER, "the ledger has format %u, and this binary reads format %d",
                              ret_identity->format, FORMAT_NUMBER);
    }
    if (unread.code)
        return fail(err, unread.code, "%s", unread.message);
    return fail(err, ERR_INVALID, "the file is no ledger, or its head is damaged");
}

/* What was written last is to have an echo again, as far as it is not sealed. */
static void echo_the_end(struct journal *journal) {
    const struct extent *last = journal_extent(journal, journal->last);
    size_t offset = 0;

    journal->fixed = journal->offset / PAGE_BYTES_MOST * PAGE_BYTES_MOST;
    space_fix_locked(&journal->space, last->first, journal->fixed);
    while (offset < journal->offset) {
        const struct format_batch *batch = batch_at(journal, journal->last, offset, journal->offset);
        size_t len = batch ? sizeof(*batch) + batch->len : FORMAT_ALIGN;
        if (batch && offset + len > journal->fixed)
            echo_add_locked(journal, batch, len);
        offset += len;
    }
}

int journal_open(struct journal *journal, int fd, struct theseus_error *err) {
    struct format_identity identity;

    if (read_identity(fd, &identity, err) < 0 ||
        start(journal, fd, identity.format == FORMAT_NUMBER ? FORMAT_FRONT : sizeof(struct format_head), err) < 0)
        return -1;
    journal->head->identity = journal->head->identity_copy = identity;
    journal->nonce = identity.nonce;
    find_last(journal);
    find_first(journal);
    take_extents(journal, journal->first, journal->last);
    journal->opened = journal->last;
    for (uint64_t order = journal->first; order <= journal->last; order++)
        check_extent(journal, order);
    if (journal->last == 0 || journal_extent(journal, journal->last)->count == 0) {
        if (journal_roll_locked(journal, opening, err) < 0)
            return abandon(journal);
    } else {
        /* Written again: the word may have been a damaged one. */
        atomic_store(&journal->head->tail,
                     format_seal((uint64_t)journal_extent(journal, journal->last)->first << PLACE_BITS |
                                     journal->offset / FORMAT_ALIGN,
                                 journal->nonce));
        atomic_store(&journal->end, place_make(journal->last, journal->offset));
        echo_the_end(journal);
    }
    return 0;
}
