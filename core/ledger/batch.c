#include "ledger/batch.h"

#include "ledger/carry.h"
#include "ledger/format.h"

/* What a record costs beside its bytes: its head, numbers and lengths of its fields, zeros at its end. */
enum { RECORD_OVERHEAD = 256 };

void batch_clear(struct batch *batch) {
    batch->ops.start = batch->ops.len = 0;
    batch->body = 0;
    batch->count = 0;
    batch->puts = batch->carried = batch->failed = batch->reserve = false;
}

void batch_fini(struct batch *batch) {
    buf_fini(&batch->ops);
    batch_clear(batch);
}

void batch_fini_cleanup(struct batch *batch) {
    batch_fini(batch);
}

int batch_reserve(struct batch *batch, size_t records, size_t bytes, struct theseus_error *err) {
    if (!buf_reserve(&batch->ops, records * RECORD_OVERHEAD + bytes))
        return fail(err, ERR_MEMORY, "no memory to record %zu bytes", bytes);
    return 0;
}

static void note(struct batch *batch, uint64_t check) {
    batch->body = format_body(batch->body, check);
    batch->count++;
}

/* The record that begins at `at`: its lengths are known now. */
static int complete(struct batch *batch, size_t at, size_t key_end, struct format_record *head) {
    static const char zeros[FORMAT_ALIGN];
    size_t key_len = key_end - at - sizeof(*head), payload_len = batch->ops.len - key_end;

    if (key_len > UINT32_MAX || payload_len > UINT32_MAX)
        return -1;
    head->key_len = (uint32_t)key_len;
    head->payload_len = (uint32_t)payload_len;
    size_t pad = format_record_bytes(head) - (batch->ops.len - at);
    if (buf_append(&batch->ops, (struct span){zeros, pad}, NULL) < 0)
        return -1;
    char *where = batch->ops.data + batch->ops.start + at;
    memcpy(where, head, sizeof(*head));
    head->check = format_record_check((const void *)where);
    memcpy(where, &head->check, sizeof(head->check));
    note(batch, head->check);
    return 0;
}

static int append(struct batch *batch, uint16_t flags, const struct record_kind *kind, const void *record) {
    struct format_record head = {
        .flags = flags, .version = kind->version, .kind = {(uint8_t)(kind->number >> 8), (uint8_t)kind->number}};
    size_t at = batch->ops.len;

    if (batch->failed)
        return -1; /* nothing of it will be stored: no memory need be found for it */
    batch->carried |= carry_has_kind(kind->number);
    if (buf_append(&batch->ops, (struct span){(const char *)&head, sizeof(head)}, NULL) < 0 ||
        record_key(kind, record, &batch->ops, NULL) < 0)
        return -1;
    size_t key_end = batch->ops.len;
    if (!(flags & RECORD_DROP) && record_payload(kind, record, &batch->ops, NULL) < 0)
        return -1;
    return complete(batch, at, key_end, &head);
}

void batch_put(struct batch *batch, const struct record_kind *kind, const void *record) {
    batch->puts = true;
    batch->failed |= append(batch, 0, kind, record) < 0;
}

void batch_drop(struct batch *batch, const struct record_kind *kind, const void *record) {
    batch->failed |= append(batch, RECORD_DROP, kind, record) < 0;
}

void batch_carry(struct batch *batch, const struct format_record *record) {
    struct span bytes = {(const char *)record, format_record_bytes(record)};

    batch->puts = true;
    if (buf_append(&batch->ops, bytes, NULL) < 0)
        batch->failed = true;
    else
        note(batch, record->check);
}
