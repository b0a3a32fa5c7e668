#include "loop/timer.h"

#include <stdlib.h>

#include <uv.h>

#include "base/mem.h"
#include "loop/inner.h"

struct timer {
    uv_timer_t uv;
    loop_fn *fn;
    void *arg;
};

static void timer_on_time(uv_timer_t *uv) {
    struct timer *timer = container_of(uv, struct timer, uv);

    loop_enter();
    loop_noticed(uv->loop);
    timer->fn(timer->arg);
}

static void timer_on_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct timer, uv));
}

struct timer *timer_new(struct loop *loop, loop_fn *fn, void *arg) {
    struct timer *timer = xcalloc(1, sizeof(*timer));

    (void)uv_timer_init(loop_uv(loop), &timer->uv);
    timer->fn = fn;
    timer->arg = arg;
    return timer;
}

struct timer *timer_free(struct timer *timer) {
    if (timer)
        uv_close((uv_handle_t *)&timer->uv, timer_on_closed);
    return NULL;
}

void timer_start(struct timer *timer, int64_t delay_ms, int64_t repeat_ms) {
    uint64_t delay = delay_ms > 0 ? (uint64_t)delay_ms : 0;
    uint64_t repeat = repeat_ms > 0 ? (uint64_t)repeat_ms : 0;

    uv_update_time(timer->uv.loop); /* else a long callback before this one would make it fire early */
    (void)uv_timer_start(&timer->uv, timer_on_time, delay, repeat);
}

void timer_stop(struct timer *timer) {
    (void)uv_timer_stop(&timer->uv);
}
