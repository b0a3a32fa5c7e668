#include "base/blame.h"

#include <stdatomic.h>

/* Initial-exec: its address is known without a call that might allocate. */
static _Thread_local struct blame *_Atomic current __attribute__((tls_model("initial-exec")));

void blame_enter(struct blame *blame) {
    blame->outer = atomic_load_explicit(&current, memory_order_relaxed);
    atomic_store_explicit(&current, blame, memory_order_release);
}

void blame_leave(struct blame *blame) {
    atomic_store_explicit(&current, blame->outer, memory_order_release);
}

const struct blame *blame_current(void) {
    return atomic_load_explicit(&current, memory_order_acquire);
}
