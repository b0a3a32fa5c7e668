#include "loop/signal.h"

#include <assert.h>
#include <stdlib.h>

#include <uv.h>

#include "base/mem.h"
#include "loop/inner.h"

struct signal_watch {
    uv_signal_t uv;
    signal_fn *fn;
    void *arg;
};

static void signal_watch_on_signal(uv_signal_t *uv, int signum) {
    struct signal_watch *watch = container_of(uv, struct signal_watch, uv);

    loop_enter();
    loop_noticed(uv->loop);
    watch->fn(watch->arg, signum);
}

static void signal_watch_on_closed(uv_handle_t *handle) {
    free(container_of((uv_signal_t *)handle, struct signal_watch, uv));
}

struct signal_watch *signal_watch_new(struct loop *loop, int signum, signal_fn *fn, void *arg) {
    struct signal_watch *watch = xcalloc(1, sizeof(*watch));
    int r = uv_signal_init(loop_uv(loop), &watch->uv);

    assert(r == 0);
    watch->fn = fn;
    watch->arg = arg;
    r = uv_signal_start(&watch->uv, signal_watch_on_signal, signum);
    assert(r == 0);
    (void)r;
    return watch;
}

struct signal_watch *signal_watch_free(struct signal_watch *watch) {
    if (watch)
        uv_close((uv_handle_t *)&watch->uv, signal_watch_on_closed);
    return NULL;
}
