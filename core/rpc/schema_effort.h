/*
 * How much work one check may still do. Running out is remembered and not reported where it happens: comparing and
 * hashing stay plain functions, and the check looks at the end of every step whether it still may go on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct effort {
    size_t left;
    bool too_deep; /* a value was nested more deeply than is allowed */
};

static inline bool effort_take(struct effort *effort, size_t steps) {
    if (effort->left <= steps) {
        effort->left = 0;
        return false;
    }
    effort->left -= steps;
    return true;
}

static inline void effort_end_too_deep(struct effort *effort) {
    effort->left = 0;
    effort->too_deep = true;
}
