#include "ledger/sealhead.h"

#include <endian.h>
#include <string.h>

#include "base/hash.h"

/* Where what stands. All numbers are little-endian. */
enum {
    AT_MAGIC = 0,
    AT_FORMAT = 8,
    AT_LENGTH = 12,
    AT_CREATED = 16,
    AT_RECORDS = 24,
    AT_PLAIN = 32,
    AT_PACKED = 40,
    AT_KEY_ID = 48,
    AT_STREAM = 64,
    AT_BOOT_ID = 88,
    AT_VERSION = 136,
    AT_CHECKSUM = 184, /* of everything before it; the last 8 bytes, in every format */
    LENGTH_MIN = 24,
    LENGTH_MAX = 4096,
};

/* As in PNG: a byte that is no text, and line ends that a careless copy would change. */
static const unsigned char magic[8] = {0x8e, 'T', 'H', 'S', '\r', '\n', 0x1a, '\n'};

static void put_u32(unsigned char *at, uint32_t value) {
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
}

static void put_u64(unsigned char *at, uint64_t value) {
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
}

static uint32_t get_u32(const unsigned char *at) {
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static uint64_t get_u64(const unsigned char *at) {
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static uint64_t checksum(const unsigned char *header, size_t len) {
    return hash_u64((struct span){(const char *)header, len - sizeof(uint64_t)});
}

static void put_text(unsigned char *at, const char text[static SEAL_TEXT_BYTES]) {
    memcpy(at, text, strnlen(text, SEAL_TEXT_BYTES - 1));
}

static void get_text(const unsigned char *at, char text[static SEAL_TEXT_BYTES]) {
    memcpy(text, at, SEAL_TEXT_BYTES);
    text[SEAL_TEXT_BYTES - 1] = '\0';
}

void seal_head_pack(const struct seal_head *head, unsigned char out[static SEAL_HEADER_BYTES]) {
    memset(out, 0, SEAL_HEADER_BYTES);
    memcpy(out + AT_MAGIC, magic, sizeof(magic));
    put_u32(out + AT_FORMAT, SEAL_FORMAT);
    put_u32(out + AT_LENGTH, SEAL_HEADER_BYTES);
    put_u64(out + AT_CREATED, (uint64_t)head->info.created_ms);
    put_u64(out + AT_RECORDS, head->info.records);
    put_u64(out + AT_PLAIN, head->plain_bytes);
    put_u64(out + AT_PACKED, head->packed_bytes);
    memcpy(out + AT_KEY_ID, head->key_id, sizeof(head->key_id));
    memcpy(out + AT_STREAM, head->stream, sizeof(head->stream));
    put_text(out + AT_BOOT_ID, head->info.boot_id);
    put_text(out + AT_VERSION, head->info.server_version);
    put_u64(out + AT_CHECKSUM, checksum(out, SEAL_HEADER_BYTES));
}

/* The length of the header, once it is known to be one. */
static int check_frame(const unsigned char *in, size_t len, struct theseus_error *err) {
    if (memcmp(in, magic, len < sizeof(magic) ? len : sizeof(magic)) != 0)
        return fail(err, ERR_INVALID, "it is not a sealed file");
    if (len < AT_CREATED)
        return fail(err, ERR_INVALID, "it is truncated: it ends inside its header, after %zu bytes", len);
    uint32_t format = get_u32(in + AT_FORMAT);
    uint32_t length = get_u32(in + AT_LENGTH);
    if (length < LENGTH_MIN || length > LENGTH_MAX || (format == SEAL_FORMAT && length != SEAL_HEADER_BYTES))
        return fail(err, ERR_INVALID, "its header is damaged");
    if (len < length)
        return fail(err, ERR_INVALID, "it is truncated: it ends inside its header, after %zu bytes", len);
    if (checksum(in, length) != get_u64(in + length - sizeof(uint64_t)) || format == 0)
        return fail(err, ERR_INVALID, "its header is damaged");
    if (format > SEAL_FORMAT)
        return fail(err, ERR_NEWER, "it was written by a newer version, in format %u; this one reads format %d", format,
                    SEAL_FORMAT);
    return 0;
}

int seal_head_unpack(const unsigned char *in, size_t len, struct seal_head *ret_head, struct theseus_error *err) {
    struct seal_head head = {0};

    if (check_frame(in, len, err) < 0)
        return -1;
    head.info.created_ms = (int64_t)get_u64(in + AT_CREATED);
    head.info.records = get_u64(in + AT_RECORDS);
    head.plain_bytes = get_u64(in + AT_PLAIN);
    head.packed_bytes = get_u64(in + AT_PACKED);
    memcpy(head.key_id, in + AT_KEY_ID, sizeof(head.key_id));
    memcpy(head.stream, in + AT_STREAM, sizeof(head.stream));
    get_text(in + AT_BOOT_ID, head.info.boot_id);
    get_text(in + AT_VERSION, head.info.server_version);
    *ret_head = head;
    return 0;
}
