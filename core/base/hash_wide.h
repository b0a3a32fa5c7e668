/* The same hashes with the wider registers that some processors have: hash.c takes them where they are there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const bool hash_wide_is_made; /* for processors with AVX2; else these are what hash.c has anyway */

uint64_t hash_wide_u64(const void *data, size_t len);
void hash_wide_update(void *state, const void *data, size_t len); /* an XXH3_state_t, for 128 bits */
