/*
 * Watches one thread (the loop's) for code that must come back at once and does not.
 *
 * Another thread looks now and then whether it is still the same stay. It sleeps where nobody is inside, so an idle
 * process is not woken; entering and leaving cost no more than a store each while it is awake.
 */
#pragma once

#include <stdint.h>

#include "base/mem.h"
#include "loop/thread.h"

struct stall;

/* Once for a stay that has lasted longer than its limit, on the thread that watches; the code is still inside. */
typedef void stall_fn(void *arg);

MUST_CHECK int stall_new(struct stall **ret_stall, stall_fn *fn, void *arg, struct theseus_error *err);
struct stall *stall_free(struct stall *stall); /* waits for `fn` */

/* Around the code, on one thread; within a stay there is no other. */
void stall_enter(struct stall *stall, int64_t limit_ms);
void stall_leave(struct stall *stall);

DEFINE_CLEANUP(struct stall *, stall_free)
