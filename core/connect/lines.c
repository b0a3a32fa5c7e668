#include "connect/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/limits.h"
#include "loop/poll.h"
#include "rpc/frame.h"

struct lines {
    struct loop *loop;
    const struct lines_ops *ops;
    void *arg;
    struct stream in, out;
    struct poll *in_poll, *out_poll; /* owned */
    struct frame *frame;             /* owned */
    struct buf waiting;
    uint64_t said, taken;
    struct loop_task flush;
    bool paused, ended, finishes, deaf; /* deaf: it takes nothing any more */
};

static void want(struct lines *lines) ON_LOOP {
    if (lines->in_poll)
        poll_want(lines->in_poll, lines->paused || lines->ended ? 0 : POLL_READ);
}

static void end(struct lines *lines, const char *failed) ON_LOOP {
    if (lines->ended)
        return;
    lines->ended = true;
    want(lines);
    lines->ops->ended(lines->arg, failed);
}

/* ---- in ---- */

/* False: the object may be gone. */
static bool take(struct lines *lines, char *room) ON_LOOP {
    ssize_t n = stream_read(&lines->in, room, LIMIT_READ_CHUNK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) {
        end(lines, n < 0 ? strerror(errno) : NULL);
        return false;
    }
    frame_added(lines->frame, (size_t)n);
    return true;
}

static void give(struct lines *lines) ON_LOOP {
    struct span line;
    int r;

    while ((r = frame_next(lines->frame, &line)) != FRAME_MORE) {
        if (r == FRAME_TOO_LONG)
            lines->ops->too_long(lines->arg);
        else if (line.len > 0)
            lines->ops->line(lines->arg, line);
    }
}

static void on_readable(void *arg, int events) {
    struct lines *lines = arg;

    loop_enter();
    (void)events;
    char *room = frame_room(lines->frame, LIMIT_READ_CHUNK);
    if (!room) {
        end(lines, "no memory for a line");
        return;
    }
    if (take(lines, room))
        give(lines);
}

void lines_pause(struct lines *lines, bool pause) {
    if (lines->paused == pause)
        return;
    lines->paused = pause;
    want(lines);
}

/* ---- out ---- */

void lines_flush(struct lines *lines) {
    struct span bytes = buf_span(&lines->waiting);
    bool moved = false;

    while (bytes.len > 0 && !lines->deaf) {
        struct iovec part = {.iov_base = (void *)bytes.data, .iov_len = bytes.len};
        ssize_t n = stream_write(&lines->out, &part, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            lines->deaf = errno != EAGAIN;
            break;
        }
        buf_consume(&lines->waiting, (size_t)n, LIMIT_READ_CHUNK);
        lines->taken += (uint64_t)n;
        moved = true;
        bytes = buf_span(&lines->waiting);
        if (lines->out.blocks)
            break; /* it is ready for one write at a time */
    }
    if (lines->deaf)
        buf_fini(&lines->waiting);
    poll_want(lines->out_poll, lines->waiting.len > 0 ? POLL_WRITE : 0);
    if (lines->finishes && lines->waiting.len == 0 && lines->out.socket)
        (void)shutdown(lines->out.fd, SHUT_WR);
    if (lines->deaf)
        end(lines, "it takes nothing any more");
    else if (moved)
        lines->ops->taken(lines->arg);
}

static void on_writable(void *arg, int events) {
    loop_enter();
    (void)events;
    lines_flush(arg);
}

static void on_flush(void *arg) {
    struct lines *lines = arg;

    loop_enter();
    if (lines->out.blocks)
        poll_want(lines->out_poll, POLL_WRITE);
    else
        lines_flush(lines);
}

void lines_say(struct lines *lines, struct span line) {
    bool has_end = line.len > 0 && line.data[line.len - 1] == '\n';
    char *room = lines->deaf ? NULL : buf_reserve(&lines->waiting, line.len + 1);

    if (!room) {
        lines->deaf = true; /* no memory: half of what was said is worse than nothing more */
        loop_defer(lines->loop, &lines->flush);
        return;
    }
    memcpy(room, line.data, line.len);
    if (!has_end)
        room[line.len] = '\n';
    buf_added(&lines->waiting, line.len + !has_end);
    lines->said += line.len + !has_end;
    loop_defer(lines->loop, &lines->flush);
}

void lines_finish(struct lines *lines) {
    lines->finishes = true;
    loop_defer(lines->loop, &lines->flush);
}

/* ---- making ---- */

int lines_new(struct lines **ret_lines, struct loop *loop, struct stream *in, struct stream *out, size_t max_line,
              const struct lines_ops *ops, void *arg, struct theseus_error *err) {
    CLEANUP(lines_free) struct lines *lines = xcalloc(1, sizeof(*lines));

    lines->loop = loop;
    lines->ops = ops;
    lines->arg = arg;
    lines->in = *in;
    lines->out = *out;
    lines->frame = frame_new(max_line, 0, false);
    lines->flush = (struct loop_task){.run = on_flush, .arg = lines};
    if (poll_new(&lines->in_poll, loop, lines->in.fd, on_readable, lines, err) < 0 ||
        poll_new(&lines->out_poll, loop, lines->out.fd, on_writable, lines, err) < 0)
        return -1;
    want(lines);
    *ret_lines = TAKE_PTR(lines);
    return 0;
}

struct lines *lines_free(struct lines *lines) {
    if (!lines)
        return NULL;
    loop_forget(lines->loop, &lines->flush);
    lines->in_poll = poll_free(lines->in_poll);
    lines->out_poll = poll_free(lines->out_poll);
    lines->frame = frame_free(lines->frame);
    buf_fini(&lines->waiting);
    if (lines->out.fd != lines->in.fd)
        stream_close(&lines->out);
    stream_close(&lines->in);
    free(lines);
    return NULL;
}

uint64_t lines_said(const struct lines *lines) {
    return lines->said;
}

uint64_t lines_taken(const struct lines *lines) {
    return lines->taken;
}

size_t lines_waiting(const struct lines *lines) {
    return lines->waiting.len;
}

struct span lines_rest(const struct lines *lines) {
    return frame_rest(lines->frame);
}

const struct stream *lines_in(const struct lines *lines) {
    return &lines->in;
}

const struct stream *lines_out(const struct lines *lines) {
    return &lines->out;
}
