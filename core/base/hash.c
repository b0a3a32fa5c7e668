#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* The header has all of it; a shared library would have to be found and mapped at every exec. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash_wide.h"

enum { WIDE_BYTES = 2048 }; /* from here on it is worth asking what the processor has */

static bool is_wide(void) {
#ifdef __x86_64__
    return hash_wide_is_made && __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

uint64_t hash_u64(struct span bytes) {
    return bytes.len >= WIDE_BYTES && is_wide() ? hash_wide_u64(bytes.data, bytes.len)
                                                : XXH3_64bits(bytes.data, bytes.len);
}

static void print_hash(XXH128_hash_t hash, char text[static HASH_TEXT_BYTES]) {
    (void)snprintf(text, HASH_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
}

void hash_text(struct span bytes, char text[static HASH_TEXT_BYTES]) {
    print_hash(XXH3_128bits(bytes.data, bytes.len), text);
}

static int hash_rest(XXH3_state_t *state, int fd, struct theseus_error *err) {
    const bool wide = is_wide();
    char chunk[16384];
    ssize_t n;

    for (off_t at = 0; (n = pread(fd, chunk, sizeof(chunk), at)) > 0; at += n)
        if (wide)
            hash_wide_update(state, chunk, (size_t)n);
        else
            (void)XXH3_128bits_update(state, chunk, (size_t)n);
    return n < 0 ? fail_errno(err, "cannot read a file to hash it") : 0;
}

int hash_fd(int fd, char text[static HASH_TEXT_BYTES], struct theseus_error *err) {
    XXH3_state_t *state = XXH3_createState();

    if (!state)
        return fail(err, ERR_MEMORY, "no memory to hash a file");
    (void)XXH3_128bits_reset(state);
    int r = hash_rest(state, fd, err);
    if (r == 0)
        print_hash(XXH3_128bits_digest(state), text);
    (void)XXH3_freeState(state);
    return r;
}
