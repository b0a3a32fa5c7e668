/* The header of a sealed file: what stands in plain before the sealed content. Used by seal.c only. */
#pragma once

#include "ledger/seal.h"

enum { SEAL_STREAM_BYTES = 24 }; /* what the stream cipher wants to begin with */

struct seal_head {
    struct seal_info info;
    uint64_t plain_bytes;  /* the content */
    uint64_t packed_bytes; /* the same, compressed */
    unsigned char key_id[SEAL_KEY_ID_BYTES];
    unsigned char stream[SEAL_STREAM_BYTES];
};

void seal_head_pack(const struct seal_head *head, unsigned char out[static SEAL_HEADER_BYTES]);

/*
 * What the first `len` bytes of a file say. Refuses, with the reason, what is no header of this format; nothing of it
 * is genuine until the first piece was decrypted.
 */
MUST_CHECK int seal_head_unpack(const unsigned char *in, size_t len, struct seal_head *ret_head,
                                struct theseus_error *err);
