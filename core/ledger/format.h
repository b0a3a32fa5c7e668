/*
 * What the ledger's file looks like. Everything in it is written by this machine for itself, in its own byte order.
 *
 * First the head, then the echo, then segments. The log is a chain of extents, numbered from 1; an extent is a run of
 * segments that lie together, mostly one. In an extent follows batch upon batch; an end mark says that the log goes on
 * in the next extent. A batch is a head and records, and lies in one extent; everything begins at multiples of 8 bytes.
 *
 * The echo holds once more what was appended last, for the memory of the log's end can be written to by any code of the
 * process that has gone astray: batches and end marks as they are in the log, one behind the other, from the beginning
 * again when the next one finds no room.
 *
 * The checksums contain a number drawn when the ledger was made: what a client sends and we record can never be taken
 * for a part of the log. A batch's also contains where it stands, so that what is left from an extent's earlier life is
 * none. Words that change in place carry a checksum of their own.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/span.h"

enum {
    FORMAT_NUMBER = 2,
    FORMAT_WITHOUT_ECHO = 1, /* the same, but that the segments follow the head */
    SEGMENT_BYTES = 1 << 20,
    ECHO_BYTES = 384 << 10,
    SEGMENTS_MAX = LIMIT_LEDGER / SEGMENT_BYTES,
    EXTENTS_MAX = 2 * SEGMENTS_MAX, /* in a chain of which parts were lost; else there is a segment for each */
    FORMAT_ALIGN = 8,
    BATCH_MAGIC = 0x42544c31,
    END_MAGIC = 0x454e4431,
    RECORD_DROP = 1, /* flags of a record */
};

struct format_identity {
    char magic[8];
    uint32_t format, segment_bytes;
    uint64_t nonce;
    uint64_t check;
};

struct format_head {
    struct format_identity identity;
    uint64_t unused_a[4];
    _Atomic uint64_t tail; /* where the log ends: the last extent's first segment, and how far in it */
    uint64_t unused_b[7];
    _Atomic uint64_t first; /* number of the oldest extent that exists */
    char unused_c[4096 - 136];
    uint64_t extents[2][SEGMENTS_MAX]; /* by first segment: number and length; twice, against damage */
    struct format_identity identity_copy;
    char unused_d[4096 - sizeof(struct format_identity)];
    char scratch[(64 << 10) - 2 * 4096 - 2 * 8 * SEGMENTS_MAX]; /* for a handler's last words */
};

/* Where the first segment is. */
enum { FORMAT_FRONT = sizeof(struct format_head) + ECHO_BYTES };

struct format_batch {
    uint32_t magic, count; /* records */
    uint64_t len;          /* of all of them */
    uint64_t body;         /* their checksums in one */
    uint64_t check;
};

/* Followed by the rest of the key, the payload, and zeros up to a multiple of 8. The key's first two bytes are `kind`,
 * big-endian: the order of the keys' bytes is the order of the kinds, then of their keys. */
struct format_record {
    uint64_t check; /* of everything behind it */
    uint32_t key_len, payload_len;
    uint16_t flags, version, unused;
    uint8_t kind[2];
};

_Static_assert(sizeof(struct format_head) == 64 << 10, "the head is a fixed part of the file");
_Static_assert(ECHO_BYTES % 4096 == 0, "what follows it is mapped by itself");
_Static_assert(sizeof(struct format_batch) == 32 && sizeof(struct format_record) == 24, "written as they are");
_Static_assert(offsetof(struct format_head, first) == 128, "the two words lie in cache lines of their own");

void format_make_identity(struct format_identity *identity, uint64_t nonce);
bool format_is_identity(const struct format_identity *identity);

/* A value of up to 48 bits that can be told from a damaged one. */
uint64_t format_seal(uint64_t value, uint64_t nonce);
bool format_unseal(uint64_t word, uint64_t nonce, uint64_t *ret_value);

/* The checksum of a batch's head at this place. */
uint64_t format_batch_check(const struct format_batch *batch, uint64_t nonce, uint64_t order, uint64_t offset);

/* Takes one more record's checksum into a batch's. */
static inline uint64_t format_body(uint64_t body, uint64_t check) {
    return (body << 7 | body >> 57) * UINT64_C(0x9e3779b97f4a7c15) + check;
}

static inline size_t format_record_bytes(const struct format_record *record) {
    size_t len = sizeof(*record) + (size_t)record->key_len + record->payload_len;

    return (len + FORMAT_ALIGN - 1) / FORMAT_ALIGN * FORMAT_ALIGN;
}

uint64_t format_record_check(const struct format_record *record);

/* A record where `at` points to: its full key, beginning with the kind, and its payload. */
static inline struct span format_key(const struct format_record *record) {
    return (struct span){(const char *)record->kind, sizeof(record->kind) + record->key_len};
}

static inline struct span format_payload(const struct format_record *record) {
    return (struct span){(const char *)(record + 1) + record->key_len, record->payload_len};
}

static inline uint16_t format_kind(const struct format_record *record) {
    return (uint16_t)(record->kind[0] << 8 | record->kind[1]);
}

/* Is there a whole record, by its lengths, at the beginning of these bytes? */
bool format_record_fits(struct span bytes);

/* Are these bytes `batch->count` undamaged records, and nothing else? */
bool format_body_is_sound(const struct format_batch *batch, struct span bytes);
