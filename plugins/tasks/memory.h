/* Who owns a local frees it where it ends: CLEANUP(text_fini) struct text text = {0}; */
#pragma once

#include <jansson.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

/* A reference that leaves its owner: `*ret = TAKE(value)`. */
#define TAKE(pointer)                           \
    ({                                          \
        __typeof__(pointer) taken_ = (pointer); \
        (pointer) = NULL;                       \
        taken_;                                 \
    })

static inline void memory_free(void *pointer) {
    free(*(void **)pointer);
}
