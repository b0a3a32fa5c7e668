#include "rpc/frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

enum { SHORT_REST = 4096 };

struct frame {
    struct buf bytes;
    size_t max_line;
    size_t scanned; /* bytes at the front that hold no end of line */
    uint64_t offset;
    bool skipping;
};

struct frame *frame_new(size_t max_line, uint64_t offset, bool skipping) {
    struct frame *frame = xcalloc(1, sizeof(*frame));

    frame->max_line = max_line;
    frame->offset = offset;
    frame->skipping = skipping;
    return frame;
}

struct frame *frame_free(struct frame *frame) {
    if (!frame)
        return NULL;
    buf_fini(&frame->bytes);
    free(frame);
    return NULL;
}

void frame_set_max_line(struct frame *frame, size_t max_line) {
    frame->max_line = max_line;
}

char *frame_room(struct frame *frame, size_t size) {
    if (frame->bytes.len == 0 && frame->bytes.capacity > 2 * LIMIT_READ_CHUNK)
        buf_fini(&frame->bytes); /* a long line had blown it up */
    return buf_reserve(&frame->bytes, size);
}

void frame_lend(struct frame *frame, struct buf *room) {
    if (frame->bytes.capacity > 2 * SHORT_REST || buf_append(room, buf_span(&frame->bytes), NULL) < 0)
        return;
    buf_fini(&frame->bytes);
    frame->bytes = *room;
    *room = (struct buf){0};
}

/* A short rest gets memory of its size; without any it keeps what it has. */
static struct buf rest_of(struct frame *frame) {
    struct buf rest = {0};

    if (frame->bytes.len > 0 && buf_append(&rest, buf_span(&frame->bytes), NULL) < 0)
        buf_fini(&rest);
    return rest;
}

void frame_give_back(struct frame *frame, struct buf *room) {
    size_t len = frame->bytes.len;

    if (len > SHORT_REST || frame->bytes.capacity <= 2 * SHORT_REST)
        return;
    struct buf rest = rest_of(frame);
    if (len > 0 && rest.len == 0)
        return;
    if (room->capacity == 0 && frame->bytes.capacity <= 2 * LIMIT_READ_CHUNK) {
        *room = frame->bytes;
        room->start = room->len = 0;
        frame->bytes = (struct buf){0};
    }
    buf_fini(&frame->bytes);
    frame->bytes = rest;
}

void frame_added(struct frame *frame, size_t count) {
    buf_added(&frame->bytes, count);
}

/* The bytes stay where they are until frame_room(): a line that was given out remains readable. */
static void consume(struct frame *frame, size_t count) {
    frame->bytes.start += count;
    frame->bytes.len -= count;
    frame->offset += count;
    frame->scanned = 0;
}

static int skip_rest(struct frame *frame) {
    consume(frame, frame->bytes.len);
    return FRAME_MORE;
}

static struct span without_return(struct span line) {
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

int frame_next(struct frame *frame, struct span *ret_line) {
    for (;;) {
        struct span bytes = buf_span(&frame->bytes);
        const char *end =
            bytes.len > frame->scanned ? memchr(bytes.data + frame->scanned, '\n', bytes.len - frame->scanned) : NULL;
        frame->scanned = bytes.len;
        if (!end && frame->skipping)
            return skip_rest(frame);
        if (!end && bytes.len <= frame->max_line + 1) /* one more: it may be a CR */
            return FRAME_MORE;
        size_t len = end ? (size_t)(end - bytes.data) : bytes.len;
        struct span line = without_return((struct span){bytes.data, len});
        bool was_skipping = frame->skipping;
        frame->skipping = !end;
        consume(frame, end ? len + 1 : len);
        if (was_skipping)
            continue; /* the end of what was reported before */
        if (line.len > frame->max_line)
            return FRAME_TOO_LONG;
        *ret_line = line;
        return 0;
    }
}

bool frame_skip(struct frame *frame) {
    if (frame->bytes.len == 0)
        return false;
    (void)skip_rest(frame);
    buf_fini(&frame->bytes);
    frame->skipping = true;
    return true;
}

uint64_t frame_offset(const struct frame *frame) {
    return frame->offset;
}

bool frame_skipping(const struct frame *frame) {
    return frame->skipping;
}

struct span frame_rest(const struct frame *frame) {
    return buf_span(&frame->bytes);
}
