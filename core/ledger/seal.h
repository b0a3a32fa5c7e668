/*
 * Sealing: bytes into a file that only the holder of the key can read, or change without being found out.
 *
 * The content is compressed as one zstd frame and then encrypted in pieces of 64 KiB by libsodium's secretstream
 * (XChaCha20-Poly1305). Before it stands a header in plain, which is authenticated as the additional data of the first
 * piece; the last piece carries the final tag. The header says how long everything is, so that nothing is allocated
 * for a promise, and so that a refusal can say what is wrong.
 *
 * What every format keeps: the first 16 bytes (magic, format, length of the header) and the checksum in the header's
 * last 8 bytes. So damage is told from a format that a newer version wrote.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "ledger/sealkey.h"

enum {
    SEAL_FORMAT = 1,         /* what seal_write() writes */
    SEAL_HEADER_BYTES = 192, /* of that format */
    SEAL_PIECE = 64 << 10,   /* bytes encrypted at a time */
    SEAL_TEXT_BYTES = 48,    /* of a text in the header, with its NUL */
};

/* Whose content it is. Stands in plain in the file. */
struct seal_info {
    char boot_id[SEAL_TEXT_BYTES];
    char server_version[SEAL_TEXT_BYTES];
    int64_t created_ms; /* wall clock */
    uint64_t records;
};

/* Writes all of it at the place where `fd` stands; does not sync. Any thread. */
MUST_CHECK int seal_write(const struct seal_key *key, const struct seal_info *info, struct span content, int fd,
                          struct theseus_error *err);

/* What seal_read() has found to be genuine. */
struct sealed {
    struct seal_info info;
    struct buf content;
};

/*
 * Reads the whole file behind `fd` from its beginning; the position is not moved. More than `max` bytes of content are
 * ERR_LIMIT, a file of a newer version ERR_NEWER, anything that is not exactly what was written ERR_INVALID. The
 * messages do not name the file. Any thread.
 */
MUST_CHECK int seal_read(const struct seal_key *key, int fd, size_t max, struct sealed *ret_sealed,
                         struct theseus_error *err);

void sealed_fini(struct sealed *sealed);
void sealed_fini_cleanup(struct sealed *sealed);
