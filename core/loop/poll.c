#include "loop/poll.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <uv.h>

#include "base/mem.h"
#include "loop/inner.h"

struct poll {
    union {
        uv_handle_t any;
        uv_poll_t poll;
        uv_idle_t idle; /* of a descriptor that is always ready */
    } uv;
    struct loop *loop;
    poll_fn *fn;
    void *arg;
    int fd;     /* borrowed */
    int own_fd; /* -1: not needed. libuv takes each number once only */
    int wanted;
    bool always;
};

static void poll_begin(struct poll *poll) ON_LOOP;

static void poll_tell(struct poll *poll, int events) {
    if (events)
        poll->fn(poll->arg, events);
}

static void poll_on_ready(uv_poll_t *uv, int status, int events) {
    struct poll *poll = container_of(uv, struct poll, uv.poll);
    int ready = (events & UV_READABLE ? POLL_READ : 0) | (events & UV_WRITABLE ? POLL_WRITE : 0) |
                (events & UV_DISCONNECT ? POLL_HANGUP : 0);

    loop_enter();
    loop_noticed(uv->loop);
    poll_tell(poll, status < 0 ? poll->wanted : ready & poll->wanted);
    if (status < 0 && !uv_is_closing(&poll->uv.any))
        poll_begin(poll); /* an error stops libuv's handle; it is still to be said again */
}

static void poll_on_idle(uv_idle_t *uv) {
    struct poll *poll = container_of(uv, struct poll, uv.idle);

    loop_enter();
    loop_noticed(uv->loop);
    poll_tell(poll, poll->wanted);
}

static void poll_begin(struct poll *poll) {
    int events = (poll->wanted & POLL_READ ? UV_READABLE : 0) | (poll->wanted & POLL_WRITE ? UV_WRITABLE : 0) |
                 (poll->wanted & POLL_HANGUP && !poll->always ? UV_DISCONNECT : 0);
    int r;

    if (poll->always)
        r = events ? uv_idle_start(&poll->uv.idle, poll_on_idle) : uv_idle_stop(&poll->uv.idle);
    else
        r = events ? uv_poll_start(&poll->uv.poll, events, poll_on_ready) : uv_poll_stop(&poll->uv.poll);
    assert(r == 0);
    (void)r;
}

void poll_want(struct poll *poll, int events) {
    if (poll->wanted == events)
        return;
    poll->wanted = events;
    poll_begin(poll);
}

/* libuv sets O_NONBLOCK, which everybody who shares the open file would feel: puts back what was there. */
static int init_handle(struct poll *poll, struct loop *loop, int fd) {
    int flags = fcntl(fd, F_GETFL);
    int r = flags < 0 ? -errno : uv_poll_init(loop_uv(loop), &poll->uv.poll, fd);

    if (r == 0 && !(flags & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, flags);
    if (r == UV_EPERM) {
        poll->always = true;
        r = uv_idle_init(loop_uv(loop), &poll->uv.idle);
    }
    return r;
}

int poll_new(struct poll **ret_poll, struct loop *loop, int fd, poll_fn *fn, void *arg, struct theseus_error *err) {
    CLEANUP(free) struct poll *poll = xcalloc(1, sizeof(*poll));
    bool is_polled = fd >= 0 && *loop_polls(loop, fd) > 0;
    CLEANUP(fd_close) int own_fd = is_polled ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;

    if (own_fd < 0 && is_polled)
        return fail_errno(err, "cannot copy descriptor %d to watch it twice", fd);
    int r = init_handle(poll, loop, own_fd < 0 ? fd : own_fd);
    if (r < 0) {
        errno = -r;
        return fail_errno(err, "cannot watch descriptor %d", fd);
    }
    poll->fd = fd;
    poll->own_fd = fd_take(&own_fd);
    poll->fn = fn;
    poll->arg = arg;
    poll->loop = loop;
    ++*loop_polls(loop, fd);
    *ret_poll = TAKE_PTR(poll);
    return 0;
}

static void poll_on_closed(uv_handle_t *handle) {
    free(container_of(handle, struct poll, uv.any));
}

struct poll *poll_free(struct poll *poll) {
    if (!poll)
        return NULL;
    --*loop_polls(poll->loop, poll->fd);
    uv_close(&poll->uv.any, poll_on_closed); /* lets go of the descriptor at once, of the memory later */
    if (poll->own_fd >= 0)
        (void)close(poll->own_fd);
    return NULL;
}
