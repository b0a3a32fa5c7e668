#include "base/blame.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Initial-exec: its address is known without a call that might allocate. */
static _Thread_local struct blame *_Atomic current __attribute__((tls_model("initial-exec")));

void blame_enter(struct blame *blame) {
    blame->outer = atomic_load_explicit(&current, memory_order_relaxed);
    atomic_store_explicit(&current, blame, memory_order_release);
}

void blame_leave(struct blame *blame) {
    atomic_store_explicit(&current, blame->outer, memory_order_release);
}

struct blame *blame_begin(const struct blame *content) {
    struct blame *blame = xcalloc(1, sizeof(*blame));

    *blame = *content;
    blame_enter(blame);
    return blame;
}

struct blame *blame_end(struct blame *blame) {
    if (!blame)
        return NULL;
    blame_leave(blame);
    free(blame);
    return NULL;
}

const struct blame *blame_current(void) {
    return atomic_load_explicit(&current, memory_order_acquire);
}
