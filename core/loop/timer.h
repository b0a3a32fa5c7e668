/* A timer. */
#pragma once

#include <stdint.h>

#include "loop/loop.h"

struct timer;

struct timer *timer_new(struct loop *loop, loop_fn *fn, void *arg) ON_LOOP; /* not yet running */
struct timer *timer_free(struct timer *timer) ON_LOOP;

/* Fires in `delay_ms` from now, then every `repeat_ms` (0: once). Running already: begins anew. */
void timer_start(struct timer *timer, int64_t delay_ms, int64_t repeat_ms) ON_LOOP;
void timer_stop(struct timer *timer) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct timer *, timer_free)
