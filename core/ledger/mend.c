#include "ledger/mend.h"

#include <endian.h>
#include <stdlib.h>

#include "base/mem.h"
#include "ledger/ledger.h"

/* The records that end with a call; their keys are the same. */
static const struct record_kind *const call_kinds[] = {&request_kind, &run_kind, &checkpoint_kind, &progress_kind};
enum {
    CALL_KINDS = ARRAY_SIZE(call_kinds),
    CALL_KEY_BYTES = 3 * sizeof(uint64_t),
    OUTPUT_KEY_BYTES = 2 * sizeof(uint64_t),
    FIELD_HEAD_BYTES = 5,
    SEARCHED_BYTES = 64 << 10
};

/* One record's bytes, undamaged or not. */
struct part {
    struct format_record *record;
    size_t bytes;
    bool lost;
};

struct parts {
    struct part *items; /* owned */
    size_t count, lost, capacity;
};

static void parts_fini_cleanup(struct parts *parts) {
    free(parts->items);
}

static void add_part(struct parts *parts, char *at, size_t bytes, bool lost) {
    if (parts->count == parts->capacity) {
        parts->capacity = parts->capacity ? 2 * parts->capacity : 64;
        parts->items = xreallocarray(parts->items, parts->capacity, sizeof(*parts->items));
    }
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

static uint64_t body_of(const struct parts *parts) {
    uint64_t body = 0;

    for (size_t i = 0; i < parts->count; i++)
        body = format_body(body, parts->items[i].record->check);
    return body;
}

static bool is_confirmed(const struct parts *parts, const struct format_batch *batch) {
    return batch && parts->count == batch->count && body_of(parts) == batch->body;
}

/* The first `kept` parts are sound. Of the next record, at `at`, the length is damaged: what follows it is found again,
 * which the head of the batch confirms. */
static bool split_around(struct parts *parts, size_t kept, const struct format_batch *batch, char *at,
                         const char *end) {
    for (char *next = at + sizeof(struct format_record); next <= end && end - at <= SEARCHED_BYTES;
         next += FORMAT_ALIGN) {
        parts->count = kept;
        parts->lost = 0;
        add_part(parts, at, (size_t)(next - at), true);
        if (split_exactly(parts, next, end) && parts->lost == 1 && is_confirmed(parts, batch))
            return true;
    }
    return false;
}

/* The sound ones up to `lost`, and the rest as one. */
static bool split_front(struct parts *parts, char *at, char *lost, const char *end) {
    if ((size_t)(end - lost) < sizeof(struct format_record))
        return false;
    (void)split_exactly(parts, at, lost);
    add_part(parts, lost, (size_t)(end - lost), true);
    return true;
}

/* `batch`: an undamaged head, or NULL. Lengths that are damaged may lead to the end by chance, so what the head
 * confirms goes first; it cannot where a record's checksum is what was damaged. */
static bool split(struct parts *parts, const struct format_batch *batch, char *at, const char *end) {
    bool exact = split_exactly(parts, at, end);
    char *lost = at;
    size_t kept = 0;

    if (exact && (parts->lost == 0 || is_confirmed(parts, batch)))
        return true;
    while (kept < parts->count && !parts->items[kept].lost)
        lost += parts->items[kept++].bytes;
    if (batch && split_around(parts, kept, batch, lost, end))
        return true;
    parts->count = parts->lost = 0;
    return exact ? split_exactly(parts, at, end) : split_front(parts, at, lost, end);
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

/* Its room tells how long it was, within a few bytes, when its own lengths do not. */
static void note_output(const struct part *part, struct ledger_doubt *doubt) {
    const struct format_record *record = part->record;
    const size_t overhead = sizeof(*record) + OUTPUT_KEY_BYTES + FIELD_HEAD_BYTES;

    if (part->bytes <= overhead + FORMAT_ALIGN)
        return;
    bool sound = format_record_bytes(record) == part->bytes && record->key_len == OUTPUT_KEY_BYTES;
    doubt->out_len = sound ? record->payload_len - FIELD_HEAD_BYTES : part->bytes - overhead - FORMAT_ALIGN;
    doubt->out_offset = number_at(inner_key(record).data + sizeof(uint64_t));
}

static void note_doubt(struct journal *journal, const struct parts *parts, const char *key, uint64_t place) {
    struct ledger_doubt doubt = {.conn = number_at(key), .offset = number_at(key + 8), .index = number_at(key + 16)};

    for (size_t i = 0; i < parts->count; i++)
        if (parts->items[i].lost)
            note_output(&parts->items[i], &doubt);
    doubt.place = place;
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

/* What is lost are drops, when there are just enough of them, or the answer is there. */
static void mend_end(struct journal *journal, struct parts *parts, const char *key, uint64_t place) {
    size_t drops = 0;

    for (size_t i = 0; i < CALL_KINDS; i++)
        drops += find_part(parts, call_kinds[i], true) != NULL;
    if (find_part(parts, &output_kind, false) || drops + parts->lost == CALL_KINDS) {
        complete_drops(parts, key);
    } else {
        note_doubt(journal, parts, key, place);
        undo_drops(parts);
    }
}

/* ---- all of it ---- */

static void write_batch(struct journal *journal, struct format_batch *batch, uint64_t order, size_t from,
                        const struct parts *parts) {
    *batch = (struct format_batch){.magic = BATCH_MAGIC, .count = (uint32_t)parts->count};
    for (size_t i = 0; i < parts->count; i++)
        batch->len += parts->items[i].bytes;
    batch->body = body_of(parts);
    batch->check = format_batch_check(batch, journal->nonce, order, from);
}

bool mend_batch(struct journal *journal, uint64_t order, size_t from, size_t to) {
    char *at = (char *)journal_at(journal, place_make(order, from));
    CLEANUP(parts_fini) struct parts parts = {0};
    const struct format_batch *head = (const void *)at;
    char key[CALL_KEY_BYTES];

    if (to - from < sizeof(*head))
        return false;
    if (head->check != format_batch_check(head, journal->nonce, order, from))
        head = NULL;
    if (!split(&parts, head, at + sizeof(*head), at + (to - from)))
        return false;
    if (parts.lost > 0 && find_call(&parts, key))
        mend_end(journal, &parts, key, place_make(order, from));
    journal->lost += parts.lost;
    for (size_t i = 0; i < parts.count; i++)
        if (parts.items[i].lost)
            make_drop(&parts.items[i], NULL, (struct span){0});
    write_batch(journal, (void *)at, order, from, &parts);
    return true;
}

/* ---- where an answer was ---- */

/* What the log says about the outputs of a connection, before a place and behind it. */
struct outputs {
    uint64_t end_before;              /* 0: nothing is known */
    uint64_t put_behind, drop_behind; /* the first ones; UINT64_MAX: there is none */
};

static void look_at_output(const struct format_record *record, const struct ledger_doubt *doubt, bool before,
                           struct outputs *outputs) {
    bool drop = (record->flags & RECORD_DROP) != 0;
    struct output_record output;

    if (format_kind(record) != output_kind.number ||
        record_decode(&output_kind, inner_key(record), drop ? (struct span){0} : format_payload(record), &output,
                      NULL) < 0 ||
        output.conn != doubt->conn)
        return;
    uint64_t *first = drop ? &outputs->drop_behind : &outputs->put_behind;
    if (before && !drop && output.offset + output.bytes.len > outputs->end_before)
        outputs->end_before = output.offset + output.bytes.len;
    if (!before && output.offset >= outputs->end_before && output.offset < *first)
        *first = output.offset;
}

void mend_place_output(const struct journal *journal, struct ledger_doubt *doubt) {
    struct outputs outputs = {.put_behind = UINT64_MAX, .drop_behind = UINT64_MAX};
    struct cursor cursor = {place_make(journal->first, 0), 0};
    const struct format_record *record;
    uint64_t at;

    while ((record = journal_next(journal, &cursor, journal_end(journal), &at)))
        look_at_output(record, doubt, at < doubt->place, &outputs);
    if (outputs.end_before > 0)
        doubt->out_offset = outputs.end_before;
    else if (outputs.drop_behind < outputs.put_behind)
        doubt->out_offset = outputs.drop_behind;
    else if (outputs.put_behind < UINT64_MAX)
        doubt->out_offset = outputs.put_behind > doubt->out_len ? outputs.put_behind - doubt->out_len : 0;
}
