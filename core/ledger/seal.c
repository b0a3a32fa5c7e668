#include "ledger/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "ledger/sealhead.h"
#include "ledger/sealing.h"

enum {
    PIECE_EXTRA = crypto_secretstream_xchacha20poly1305_ABYTES,
    HEADER_READ = 4096, /* as much as a header of any format can have */
    ZSTD_LEVEL = 3,
};

_Static_assert(SEAL_STREAM_BYTES == crypto_secretstream_xchacha20poly1305_HEADERBYTES, "as libsodium has it");

typedef crypto_secretstream_xchacha20poly1305_state stream_state;

void sealed_fini(struct sealed *sealed) {
    buf_fini(&sealed->content);
}

void sealed_fini_cleanup(struct sealed *sealed) {
    sealed_fini(sealed);
}

static int open_libraries(struct theseus_error *err) {
    return sealing_open_sodium(err) < 0 || sealing_open_zstd(err) < 0 ? -1 : 0;
}

static uint64_t count_pieces(uint64_t packed_bytes) {
    return (packed_bytes + SEAL_PIECE - 1) / SEAL_PIECE;
}

static int pack(struct span content, struct buf *out, struct theseus_error *err) {
    size_t bound = zstd.ZSTD_compressBound(content.len);
    char *to = zstd.ZSTD_isError(bound) ? NULL : buf_reserve(out, bound);

    if (!to)
        return fail(err, ERR_MEMORY, "no memory to compress %zu bytes", content.len);
    size_t n = zstd.ZSTD_compress(to, bound, content.data, content.len, ZSTD_LEVEL);
    if (zstd.ZSTD_isError(n))
        return fail(err, ERR_MEMORY, "cannot compress %zu bytes: %s", content.len, zstd.ZSTD_getErrorName(n));
    buf_added(out, n);
    return 0;
}

static int write_all(int fd, const unsigned char *bytes, size_t len, struct theseus_error *err) {
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "cannot write it");
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* One piece after the other; the first also vouches for the header, the last for being the last. */
static int write_pieces(stream_state *stream, const unsigned char *header, struct span packed, int fd,
                        struct theseus_error *err) {
    unsigned char piece[SEAL_PIECE + PIECE_EXTRA];

    for (size_t at = 0; at < packed.len; at += SEAL_PIECE) {
        size_t len = packed.len - at < SEAL_PIECE ? packed.len - at : SEAL_PIECE;
        unsigned char tag = at + len == packed.len ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                                                   : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
        (void)sodium.crypto_secretstream_xchacha20poly1305_push(stream, piece, NULL,
                                                                (const unsigned char *)packed.data + at, len,
                                                                at ? NULL : header, at ? 0 : SEAL_HEADER_BYTES, tag);
        if (write_all(fd, piece, len + PIECE_EXTRA, err) < 0)
            return -1;
    }
    return 0;
}

int seal_write(const struct seal_key *key, const struct seal_info *info, struct span content, int fd,
               struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf packed = {0};
    unsigned char header[SEAL_HEADER_BYTES];
    stream_state stream;

    if (open_libraries(err) < 0 || pack(content, &packed, err) < 0)
        return -1;
    struct seal_head head = {.info = *info, .plain_bytes = content.len, .packed_bytes = packed.len};
    memcpy(head.key_id, key->id, sizeof(head.key_id));
    (void)sodium.crypto_secretstream_xchacha20poly1305_init_push(&stream, head.stream, key->bytes);
    seal_head_pack(&head, header);
    int r =
        write_all(fd, header, sizeof(header), err) < 0 || write_pieces(&stream, header, buf_span(&packed), fd, err) < 0
            ? -1
            : 0;
    explicit_bzero(&stream, sizeof(stream));
    return r;
}

/* Exactly `len` bytes at `at`. */
static int read_all(int fd, uint64_t at, unsigned char *to, size_t len, struct theseus_error *err) {
    for (size_t have = 0; have < len;) {
        ssize_t n = pread(fd, to + have, len - have, (off_t)(at + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "cannot read it");
        if (n == 0)
            return fail(err, ERR_INVALID, "it is truncated: it was cut while it was read");
        have += (size_t)n;
    }
    return 0;
}

/* Does the file have the length that its header promises? Nothing was allocated for the promise yet. */
static int check_sizes(const struct seal_head *head, uint64_t file_bytes, size_t max, struct theseus_error *err) {
    if (head->plain_bytes > max)
        return fail(err, ERR_LIMIT, "it holds %llu bytes, more than the %zu that are read",
                    (unsigned long long)head->plain_bytes, max);
    size_t bound = zstd.ZSTD_compressBound(head->plain_bytes);
    if (zstd.ZSTD_isError(bound) || head->packed_bytes > bound || head->packed_bytes == 0)
        return fail(err, ERR_INVALID, "its header is damaged");
    uint64_t whole = SEAL_HEADER_BYTES + head->packed_bytes + count_pieces(head->packed_bytes) * PIECE_EXTRA;
    if (file_bytes < whole)
        return fail(err, ERR_INVALID, "it is truncated: %llu of %llu bytes are there", (unsigned long long)file_bytes,
                    (unsigned long long)whole);
    if (file_bytes > whole)
        return fail(err, ERR_INVALID, "it has %llu bytes behind its end", (unsigned long long)(file_bytes - whole));
    return 0;
}

/* A header as it was read: what we go by is what the first piece will vouch for, whatever the file says by then. */
struct opened {
    struct seal_head head;
    unsigned char bytes[HEADER_READ];
};

static int read_head(const struct seal_key *key, int fd, size_t max, struct opened *ret_opened,
                     struct theseus_error *err) {
    struct seal_head *head = &ret_opened->head;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail_errno(err, "cannot examine it");
    if (!S_ISREG(st.st_mode))
        return fail(err, ERR_INVALID, "it is not a regular file");
    uint64_t file_bytes = (uint64_t)st.st_size;
    size_t len = file_bytes < HEADER_READ ? (size_t)file_bytes : HEADER_READ;
    if (read_all(fd, 0, ret_opened->bytes, len, err) < 0 || seal_head_unpack(ret_opened->bytes, len, head, err) < 0)
        return -1;
    if (memcmp(head->key_id, key->id, sizeof(key->id)) != 0)
        return fail(err, ERR_INVALID, "it was sealed with another key");
    return check_sizes(head, file_bytes, max, err);
}

static int open_piece(stream_state *stream, const unsigned char *header, struct span piece, unsigned char want_tag,
                      unsigned char *to) {
    unsigned char tag;

    if (sodium.crypto_secretstream_xchacha20poly1305_pull(stream, to, NULL, &tag, (const unsigned char *)piece.data,
                                                          piece.len, header, header ? SEAL_HEADER_BYTES : 0) < 0)
        return -1;
    return tag == want_tag ? 0 : -1;
}

/* The compressed content, every byte of it genuine. */
static int read_pieces(stream_state *stream, const struct opened *opened, int fd, unsigned char *to,
                       struct theseus_error *err) {
    unsigned char piece[SEAL_PIECE + PIECE_EXTRA];
    const uint64_t packed_bytes = opened->head.packed_bytes;
    uint64_t from = SEAL_HEADER_BYTES;

    for (uint64_t at = 0; at < packed_bytes; at += SEAL_PIECE) {
        uint64_t rest = packed_bytes - at;
        size_t len = rest < SEAL_PIECE ? (size_t)rest : SEAL_PIECE;
        if (read_all(fd, from, piece, len + PIECE_EXTRA, err) < 0)
            return -1;
        if (open_piece(stream, at ? NULL : opened->bytes, (struct span){(char *)piece, len + PIECE_EXTRA},
                       rest <= SEAL_PIECE ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                                          : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE,
                       to + at) < 0)
            return fail(err, ERR_INVALID, "it was changed or damaged: the piece at byte %llu is not what was sealed",
                        (unsigned long long)from);
        from += len + PIECE_EXTRA;
    }
    return 0;
}

static int unpack(struct span packed, size_t plain_bytes, struct buf *out, struct theseus_error *err) {
    char *to = buf_reserve(out, plain_bytes);

    if (!to)
        return fail(err, ERR_MEMORY, "no memory for its %zu bytes", plain_bytes);
    size_t n = zstd.ZSTD_decompress(to, plain_bytes, packed.data, packed.len);
    if (zstd.ZSTD_isError(n) || n != plain_bytes)
        return fail(err, ERR_INVALID, "its content cannot be decompressed: %s",
                    zstd.ZSTD_isError(n) ? zstd.ZSTD_getErrorName(n) : "wrong length");
    buf_added(out, n);
    return 0;
}

int seal_read(const struct seal_key *key, int fd, size_t max, struct sealed *ret_sealed, struct theseus_error *err) {
    CLEANUP(sealed_fini) struct sealed sealed = {0};
    CLEANUP(buf_fini) struct buf packed = {0};
    struct opened opened = {0};
    stream_state stream;

    if (open_libraries(err) < 0 || read_head(key, fd, max, &opened, err) < 0)
        return -1;
    char *to = buf_reserve(&packed, (size_t)opened.head.packed_bytes);
    if (!to)
        return fail(err, ERR_MEMORY, "no memory for its %llu bytes", (unsigned long long)opened.head.packed_bytes);
    if (sodium.crypto_secretstream_xchacha20poly1305_init_pull(&stream, opened.head.stream, key->bytes) < 0)
        return fail(err, ERR_INVALID, "its header is damaged");
    int r = read_pieces(&stream, &opened, fd, (unsigned char *)to, err);
    explicit_bzero(&stream, sizeof(stream));
    if (r < 0)
        return -1;
    buf_added(&packed, (size_t)opened.head.packed_bytes);
    if (unpack(buf_span(&packed), (size_t)opened.head.plain_bytes, &sealed.content, err) < 0)
        return -1;
    sealed.info = opened.head.info;
    *ret_sealed = sealed;
    sealed = (struct sealed){0};
    return 0;
}
