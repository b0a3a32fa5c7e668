/* Compiled for such processors (see the Makefile), so nothing else may be in here. */
#include "base/hash_wide.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#ifdef __AVX2__
const bool hash_wide_is_made = true;
#else
const bool hash_wide_is_made = false;
#endif

uint64_t hash_wide_u64(const void *data, size_t len) {
    return XXH3_64bits(data, len);
}

void hash_wide_update(void *state, const void *data, size_t len) {
    (void)XXH3_128bits_update(state, data, len);
}
