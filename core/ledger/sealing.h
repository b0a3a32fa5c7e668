/* What snapshots are sealed with, libsodium and libzstd: opened when the first one is written or read. */
#pragma once

#include <sodium.h>
#include <zstd.h>

#include "base/library.h"

#define SODIUM_FUNCTIONS(X)                            \
    X(sodium_init)                                     \
    X(randombytes_buf)                                 \
    X(crypto_kdf_derive_from_key)                      \
    X(crypto_secretstream_xchacha20poly1305_init_push) \
    X(crypto_secretstream_xchacha20poly1305_push)      \
    X(crypto_secretstream_xchacha20poly1305_init_pull) \
    X(crypto_secretstream_xchacha20poly1305_pull)

#define ZSTD_FUNCTIONS(X) \
    X(ZSTD_compress)      \
    X(ZSTD_compressBound) \
    X(ZSTD_decompress)    \
    X(ZSTD_isError)       \
    X(ZSTD_getErrorName)

struct sodium_functions {
    SODIUM_FUNCTIONS(LIBRARY_FIELD)
};
struct zstd_functions {
    ZSTD_FUNCTIONS(LIBRARY_FIELD)
};

/* To be called behind these: sodium.sodium_init(). Any thread. */
extern struct sodium_functions sodium;
extern struct zstd_functions zstd;
MUST_CHECK int sealing_open_sodium(struct theseus_error *err);
MUST_CHECK int sealing_open_zstd(struct theseus_error *err);
