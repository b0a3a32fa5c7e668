#include "ledger/mend.h"

#include <endian.h>
#include <stdlib.h>

#include "base/mem.h"
#include "ledger/ledger.h"

/* The records that end with a call; their keys are the same. */
static const struct record_kind *const call_kinds[] = {&request_kind, &run_kind, &checkpoint_kind, &progress_kind};
enum { CALL_KINDS = ARRAY_SIZE(call_kinds), CALL_KEY_BYTES = 3 * sizeof(uint64_t), FIELD_HEAD_BYTES = 5 };

/* One record's bytes, undamaged or not. */
struct part {
    struct format_record *record;
    size_t bytes;
    bool lost;
};

struct parts {
    struct part *items; /* owned */
    size_t count, lost;
};

static void parts_fini_cleanup(struct parts *parts) {
    free(parts->items);
}

static void add_part(struct parts *parts, char *at, size_t bytes, bool lost) {
    if (parts->count % 64 == 0)
        parts->items = xreallocarray(parts->items, parts->count + 64, sizeof(*parts->items));
    parts->items[parts->count++] = (struct part){(void *)at, bytes, lost};
    parts->lost += lost;
}

/* By the records' lengths. When they lead exactly to the end they are right, those of damaged records as well. */
static bool split_exactly(struct parts *parts, char *at, const char *end) {
    while (at < end) {
        struct format_record *record = (void *)at;
        if (!format_record_fits((struct span){at, (size_t)(end - at)}))
            return false;
        size_t bytes = format_record_bytes(record);
        add_part(parts, at, bytes, format_record_check(record) != record->check);
        at += bytes;
    }
    return true;
}

/* Else only those before the first damaged one can be told. */
static bool split(struct parts *parts, char *at, char *end) {
    if (split_exactly(parts, at, end))
        return true;
    size_t kept = 0;
    while (kept < parts->count && !parts->items[kept].lost)
        at += parts->items[kept++].bytes;
    parts->count = kept;
    parts->lost = 0;
    if ((size_t)(end - at) < sizeof(struct format_record))
        return false;
    add_part(parts, at, (size_t)(end - at), true);
    return true;
}

/* Makes a drop of a part, of nothing or of what has this key. */
static void make_drop(struct part *part, const struct record_kind *kind, struct span key) {
    struct format_record *record = part->record;

    memset(record, 0, part->bytes);
    record->flags = RECORD_DROP;
    record->key_len = (uint32_t)key.len;
    record->payload_len = (uint32_t)(part->bytes - sizeof(*record) - key.len);
    if (kind) {
        record->version = kind->version;
        record->kind[0] = (uint8_t)(kind->number >> 8);
        record->kind[1] = (uint8_t)kind->number;
        memcpy(record + 1, key.data, key.len);
    }
    record->check = format_record_check(record);
}

static struct span inner_key(const struct format_record *record) {
    return (struct span){(const char *)(record + 1), record->key_len};
}

/* The undamaged part that is of this kind, and a drop or not. */
static struct part *find_part(const struct parts *parts, const struct record_kind *kind, bool drop) {
    for (size_t i = 0; i < parts->count; i++) {
        struct part *part = &parts->items[i];
        if (!part->lost && format_kind(part->record) == kind->number && !(part->record->flags & RECORD_DROP) == !drop)
            return part;
    }
    return NULL;
}

/* Of the call that ends with this batch; false: none does. */
static bool find_call(const struct parts *parts, char *ret_key) {
    for (size_t i = 0; i < CALL_KINDS; i++) {
        const struct part *part = find_part(parts, call_kinds[i], true);
        if (!part || part->record->key_len != CALL_KEY_BYTES)
            continue;
        memcpy(ret_key, inner_key(part->record).data, CALL_KEY_BYTES);
        return true;
    }
    return false;
}

static uint64_t number_at(const char *bytes) {
    uint64_t wire;

    memcpy(&wire, bytes, sizeof(wire));
    return be64toh(wire);
}

/* ---- a call's end ---- */

static void complete_drops(struct parts *parts, const char *key) {
    size_t next = 0;

    for (size_t i = 0; i < CALL_KINDS; i++) {
        if (find_part(parts, call_kinds[i], true))
            continue;
        while (next < parts->count &&
               !(parts->items[next].lost && parts->items[next].bytes >= sizeof(struct format_record) + CALL_KEY_BYTES))
            next++;
        if (next == parts->count)
            return;
        make_drop(&parts->items[next], call_kinds[i], (struct span){key, CALL_KEY_BYTES});
        parts->items[next].lost = false;
    }
}

static void note_doubt(struct journal *journal, const struct parts *parts, const char *key) {
    struct ledger_doubt doubt = {number_at(key), number_at(key + 8), number_at(key + 16), 0, 0};

    for (size_t i = 0; i < parts->count; i++) {
        const struct format_record *record = parts->items[i].record;
        if (!parts->items[i].lost || record->key_len != 2 * sizeof(uint64_t) ||
            record->payload_len < FIELD_HEAD_BYTES || format_record_bytes(record) != parts->items[i].bytes)
            continue;
        doubt.out_offset = number_at(inner_key(record).data + 8);
        doubt.out_len = record->payload_len - FIELD_HEAD_BYTES;
    }
    journal->doubts = xreallocarray(journal->doubts, journal->doubt_count + 1, sizeof(doubt));
    journal->doubts[journal->doubt_count++] = doubt;
}

static void undo_drops(struct parts *parts) {
    for (size_t i = 0; i < CALL_KINDS; i++) {
        struct part *part = find_part(parts, call_kinds[i], true);
        if (part)
            make_drop(part, NULL, (struct span){0});
    }
}

/* ---- all of it ---- */

static void write_batch(struct journal *journal, struct format_batch *batch, uint64_t order, size_t from,
                        const struct parts *parts) {
    *batch = (struct format_batch){.magic = BATCH_MAGIC, .count = (uint32_t)parts->count};
    for (size_t i = 0; i < parts->count; i++) {
        batch->len += parts->items[i].bytes;
        batch->body = format_body(batch->body, parts->items[i].record->check);
    }
    batch->check = format_batch_check(batch, journal->nonce, order, from);
}

bool mend_batch(struct journal *journal, uint64_t order, size_t from, size_t to) {
    char *at = (char *)journal_at(journal, place_make(order, from));
    CLEANUP(parts_fini) struct parts parts = {0};
    char key[CALL_KEY_BYTES];

    if (to - from < sizeof(struct format_batch) || !split(&parts, at + sizeof(struct format_batch), at + (to - from)))
        return false;
    if (parts.lost > 0 && find_call(&parts, key)) {
        if (find_part(&parts, &output_kind, false)) {
            complete_drops(&parts, key);
        } else {
            note_doubt(journal, &parts, key);
            undo_drops(&parts);
        }
    }
    for (size_t i = 0; i < parts.count; i++)
        if (parts.items[i].lost)
            make_drop(&parts.items[i], NULL, (struct span){0});
    journal->lost += parts.lost;
    write_batch(journal, (void *)at, order, from, &parts);
    return true;
}
