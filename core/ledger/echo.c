#include "ledger/echo.h"

#include <unistd.h>

static bool has_echo(const struct journal *journal) {
    return journal->space.front >= FORMAT_FRONT;
}

static bool wants_echo(const struct journal *journal) {
    return has_echo(journal) && !atomic_load_explicit(&journal->space.unguarded, memory_order_relaxed);
}

static char *echo_of(const struct journal *journal) {
    return journal->space.base + sizeof(struct format_head);
}

void echo_add_locked(struct journal *journal, const struct format_batch *batch, size_t len) {
    if (!wants_echo(journal) || !echo_has(batch->count, len))
        return;
    if (len > ECHO_BYTES - journal->echo_at)
        journal->echo_at = 0;
    memcpy(echo_of(journal) + journal->echo_at, batch, len);
    journal->echo_at += len;
}

/* Is an undamaged batch of this extent here? `offset`: where in the extent it should be. */
static bool is_batch(const struct journal *journal, const struct format_batch *batch, size_t room, uint64_t order,
                     size_t offset) {
    return (batch->magic == BATCH_MAGIC || batch->magic == END_MAGIC) && batch->len <= room - sizeof(*batch) &&
           batch->len % FORMAT_ALIGN == 0 && batch->check == format_batch_check(batch, journal->nonce, order, offset) &&
           format_body_is_sound(batch, (struct span){(const char *)(batch + 1), batch->len});
}

const struct format_batch *echo_find(const struct journal *journal, uint64_t order, size_t offset) {
    const char *echo = echo_of(journal);

    if (!has_echo(journal))
        return NULL;
    for (size_t at = 0; at + sizeof(struct format_batch) <= ECHO_BYTES; at += FORMAT_ALIGN) {
        const struct format_batch *batch = (const void *)(echo + at);
        if (is_batch(journal, batch, ECHO_BYTES - at, order, offset))
            return batch;
    }
    return NULL;
}

/* Is it a batch of this extent that has a record at `offset` in it? */
static const struct format_record *find_in(const struct journal *journal, const struct format_batch *batch, size_t room,
                                           uint64_t order, size_t offset) {
    size_t at = sizeof(*batch), end = sizeof(*batch) + batch->len;

    while (batch->magic == BATCH_MAGIC && end <= room && at < end && at <= offset) {
        const struct format_record *record = (const void *)((const char *)batch + at);
        if (!format_record_fits((struct span){(const char *)record, end - at}))
            return NULL;
        if (is_batch(journal, batch, room, order, offset - at))
            return record;
        at += format_record_bytes(record);
    }
    return NULL;
}

const struct format_record *echo_find_record(const struct journal *journal, uint64_t place) {
    const char *echo = echo_of(journal);

    if (!has_echo(journal))
        return NULL;
    for (size_t at = 0; at + sizeof(struct format_batch) <= ECHO_BYTES; at += FORMAT_ALIGN) {
        const struct format_record *record =
            find_in(journal, (const void *)(echo + at), ECHO_BYTES - at, place_order(place), place_offset(place));
        if (record)
            return record;
    }
    return NULL;
}

/* Through the descriptor: the place may be sealed. */
static bool write_over(struct journal *journal, uint64_t place, const void *bytes, size_t len) {
    off_t at = journal_at(journal, place) - journal->space.base;

    return pwrite(journal->space.fd, bytes, len, at) == (ssize_t)len;
}

static bool heal_locked(struct journal *journal, uint64_t place) {
    const struct format_record *record = echo_find_record(journal, place);
    const struct format_batch *batch = record ? NULL : echo_find(journal, place_order(place), place_offset(place));

    if (record)
        return write_over(journal, place, record, format_record_bytes(record));
    return batch && write_over(journal, place, batch, sizeof(*batch) + batch->len);
}

bool journal_heal(struct journal *journal, uint64_t place) {
    gate_enter(&journal->gate);
    bool healed = heal_locked(journal, place);
    gate_leave(&journal->gate);
    return healed;
}
