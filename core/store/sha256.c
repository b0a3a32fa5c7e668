#include "store/sha256.h"

#include <errno.h>
#include <unistd.h>

#include <sodium.h>

#include "base/library.h"

#define FUNCTIONS(DO)             \
    DO(crypto_hash_sha256_init)   \
    DO(crypto_hash_sha256_update) \
    DO(crypto_hash_sha256_final)  \
    DO(sodium_bin2hex)

static struct { FUNCTIONS(LIBRARY_FIELD) } sodium;

static int open_sodium(struct theseus_error *err) {
    static const char *const names[] = {FUNCTIONS(LIBRARY_NAME) NULL};
    static struct library library = LIBRARY_INIT(SONAME_SODIUM, names, &sodium);

    return library_open(&library, err);
}

int sha256_fd(int fd, char text[static SHA256_TEXT], struct theseus_error *err) {
    unsigned char digest[crypto_hash_sha256_BYTES], bytes[1 << 16];
    crypto_hash_sha256_state state;
    ssize_t n;

    if (open_sodium(err) < 0)
        return -1;
    (void)sodium.crypto_hash_sha256_init(&state);
    while ((n = read(fd, bytes, sizeof(bytes))) > 0 || (n < 0 && errno == EINTR))
        (void)sodium.crypto_hash_sha256_update(&state, bytes, n > 0 ? (unsigned long long)n : 0);
    (void)sodium.crypto_hash_sha256_final(&state, digest);
    (void)sodium.sodium_bin2hex(text, SHA256_TEXT, digest, sizeof(digest));
    return n < 0 ? fail_errno(err, "a file cannot be read to its end") : 0;
}
