/*
 * Framing: the same bytes, cut into reads in two ways, give the same lines; and what comes out is what went in. The
 * first two bytes choose the length limit and the size of the reads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rpc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every line with its end, and a mark for each that is too long. */
static void cut(const uint8_t *data, size_t size, size_t max_line, size_t step, struct buf *out) {
    CLEANUP(frame_free) struct frame *frame = frame_new(max_line, 0, false);

    for (size_t at = 0; at < size;) {
        size_t count = size - at < step ? size - at : step;
        char *room = frame_room(frame, count);
        struct span line;
        int r;
        if (!room)
            abort();
        memcpy(room, data + at, count);
        frame_added(frame, count);
        at += count;
        while ((r = frame_next(frame, &line)) != FRAME_MORE) {
            if (r == 0 && (line.len > max_line || memchr(line.data, '\n', line.len)))
                abort();
            if (buf_append(out, r == 0 ? line : span_of("<too long>"), NULL) < 0 ||
                buf_append(out, span_of("\n"), NULL) < 0)
                abort();
        }
        if (frame_offset(frame) + frame_rest(frame).len != at)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    CLEANUP(buf_fini) struct buf whole = {0};
    CLEANUP(buf_fini) struct buf pieces = {0};

    if (size < 2)
        return 0;
    cut(data + 2, size - 2, data[0], size, &whole);
    cut(data + 2, size - 2, data[0], 1u + data[1] % 64, &pieces);
    if (!span_same(buf_span(&whole), buf_span(&pieces)))
        abort();
    return 0;
}
