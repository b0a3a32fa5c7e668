#include "ledger/format.h"

#include "base/hash.h"

static const char identity_magic[8] = "THLEDGER";

static uint64_t identity_check(const struct format_identity *identity) {
    return hash_u64((struct span){(const char *)identity, offsetof(struct format_identity, check)});
}

void format_make_identity(struct format_identity *identity, uint64_t nonce) {
    memcpy(identity->magic, identity_magic, sizeof(identity->magic));
    identity->format = FORMAT_NUMBER;
    identity->segment_bytes = SEGMENT_BYTES;
    identity->nonce = nonce;
    identity->check = identity_check(identity);
}

bool format_is_identity(const struct format_identity *identity) {
    return memcmp(identity->magic, identity_magic, sizeof(identity->magic)) == 0 &&
           identity->check == identity_check(identity);
}

static uint64_t seal_of(uint64_t value, uint64_t nonce) {
    uint64_t both[2] = {value, nonce};

    return hash_u64((struct span){(const char *)both, sizeof(both)}) & UINT16_MAX;
}

uint64_t format_seal(uint64_t value, uint64_t nonce) {
    return value << 16 | seal_of(value, nonce);
}

bool format_unseal(uint64_t word, uint64_t nonce, uint64_t *ret_value) {
    if ((word & UINT16_MAX) != seal_of(word >> 16, nonce))
        return false;
    *ret_value = word >> 16;
    return true;
}

uint64_t format_batch_check(const struct format_batch *batch, uint64_t nonce, uint64_t order, uint64_t offset) {
    uint64_t all[] = {(uint64_t)batch->magic << 32 | batch->count, batch->len, batch->body, nonce, order, offset};

    return hash_u64((struct span){(const char *)all, sizeof(all)});
}

uint64_t format_record_check(const struct format_record *record) {
    return hash_u64((struct span){(const char *)record + sizeof(record->check),
                                  format_record_bytes(record) - sizeof(record->check)});
}

bool format_record_fits(struct span bytes) {
    const struct format_record *record = (const void *)bytes.data;

    return bytes.len >= sizeof(*record) && format_record_bytes(record) <= bytes.len;
}

bool format_body_is_sound(const struct format_batch *batch, struct span bytes) {
    uint64_t body = 0;
    uint32_t count = 0;

    for (; bytes.len > 0; count++) {
        const struct format_record *record = (const void *)bytes.data;
        if (!format_record_fits(bytes) || format_record_check(record) != record->check)
            return false;
        body = format_body(body, record->check);
        bytes.data += format_record_bytes(record);
        bytes.len -= format_record_bytes(record);
    }
    return count == batch->count && body == batch->body;
}
