/* Arrays that grow one element at a time; their capacity is the power of two at or above their count. */
#pragma once

#include "base/mem.h"

/* The array with room for one more behind its `count` elements. */
static inline void *array_room(void *array, size_t count, size_t size) {
    return (count & (count - 1)) ? array : xreallocarray(array, count ? 2 * count : 1, size);
}
