#include "ledger/record.h"

#include <endian.h>

static const void *field_at(const struct record_field *field, const void *record) {
    return (const char *)record + field->offset;
}

static int put_u64(struct buf *out, uint64_t number, struct theseus_error *err) {
    uint64_t wire = htobe64(number);

    return buf_append(out, (struct span){(const char *)&wire, sizeof(wire)}, err);
}

/* A key's field: a number as it is; bytes with their length in front, so that no two keys run together. */
static int put_key_field(const struct record_field *field, const void *record, struct buf *out,
                         struct theseus_error *err) {
    if (field->type == RECORD_U64)
        return put_u64(out, *(const uint64_t *)field_at(field, record), err);
    const struct span *bytes = field_at(field, record);
    return put_u64(out, bytes->len, err) < 0 ? -1 : buf_append(out, *bytes, err);
}

int record_key(const struct record_kind *kind, const void *record, struct buf *out, struct theseus_error *err) {
    for (size_t i = 0; i < kind->count; i++)
        if ((kind->fields[i].flags & RECORD_KEY) && put_key_field(&kind->fields[i], record, out, err) < 0)
            return -1;
    return 0;
}

/* A payload's field: its number, its length (32 bits), its bytes. */
static int put_field(const struct record_field *field, const void *record, struct buf *out, struct theseus_error *err) {
    uint64_t wire = 0;
    struct span bytes = {(const char *)&wire, sizeof(wire)};

    if (field->type == RECORD_U64)
        wire = htobe64(*(const uint64_t *)field_at(field, record));
    else
        bytes = *(const struct span *)field_at(field, record);
    uint32_t len = htobe32((uint32_t)bytes.len);
    char head[1 + sizeof(len)] = {(char)field->number};
    memcpy(head + 1, &len, sizeof(len));
    if (bytes.len > UINT32_MAX)
        return fail(err, ERR_LIMIT, "a record's field of %zu bytes", bytes.len);
    return buf_append(out, (struct span){head, sizeof(head)}, err) < 0 ? -1 : buf_append(out, bytes, err);
}

static bool is_left_out(const struct record_field *field, const void *record) {
    if (!(field->flags & RECORD_SPARSE))
        return false;
    if (field->type == RECORD_U64)
        return *(const uint64_t *)field_at(field, record) == 0;
    return ((const struct span *)field_at(field, record))->len == 0;
}

static bool is_written(const struct record_field *field, const void *record) {
    return !(field->flags & RECORD_KEY) && !is_left_out(field, record);
}

int record_payload(const struct record_kind *kind, const void *record, struct buf *out, struct theseus_error *err) {
    for (size_t i = 0; i < kind->count; i++)
        if (is_written(&kind->fields[i], record) && put_field(&kind->fields[i], record, out, err) < 0)
            return -1;
    return 0;
}

/* The next `len` bytes of `from`, which becomes shorter by them. */
static int take(struct span *from, size_t len, struct span *ret_bytes, struct theseus_error *err) {
    if (len > from->len)
        return fail(err, ERR_PARSE, "a record is cut short");
    *ret_bytes = (struct span){from->data, len};
    from->data += len;
    from->len -= len;
    return 0;
}

static int take_u64(struct span *from, uint64_t *ret_number, struct theseus_error *err) {
    struct span bytes = {0};
    uint64_t wire;

    if (take(from, sizeof(wire), &bytes, err) < 0)
        return -1;
    memcpy(&wire, bytes.data, sizeof(wire));
    *ret_number = be64toh(wire);
    return 0;
}

static int get_key_field(const struct record_field *field, struct span *key, void *record, struct theseus_error *err) {
    void *target = (char *)record + field->offset;
    uint64_t len = 0;

    if (field->type == RECORD_U64)
        return take_u64(key, target, err);
    return take_u64(key, &len, err) < 0 ? -1 : take(key, len, target, err);
}

static int get_field(const struct record_kind *kind, uint8_t number, struct span bytes, void *record,
                     struct theseus_error *err) {
    for (size_t i = 0; i < kind->count; i++) {
        const struct record_field *field = &kind->fields[i];
        void *target = (char *)record + field->offset;
        if (field->number != number || (field->flags & RECORD_KEY))
            continue;
        if (field->type == RECORD_U64)
            return take_u64(&bytes, target, err);
        *(struct span *)target = bytes;
        return 0;
    }
    return 0; /* a later version's: not for us */
}

int record_decode(const struct record_kind *kind, struct span key, struct span payload, void *ret_record,
                  struct theseus_error *err) {
    memset(ret_record, 0, kind->size);
    for (size_t i = 0; i < kind->count; i++)
        if ((kind->fields[i].flags & RECORD_KEY) && get_key_field(&kind->fields[i], &key, ret_record, err) < 0)
            return -1;
    while (payload.len > 0) {
        struct span head = {0}, bytes = {0};
        uint32_t len;
        if (take(&payload, 1 + sizeof(len), &head, err) < 0)
            return -1;
        memcpy(&len, head.data + 1, sizeof(len));
        if (take(&payload, be32toh(len), &bytes, err) < 0 ||
            get_field(kind, (uint8_t)head.data[0], bytes, ret_record, err) < 0)
            return -1;
    }
    return 0;
}
