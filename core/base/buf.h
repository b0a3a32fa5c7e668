/* A byte buffer that grows at its end and gives way at its front. Its sizes may be a peer's: growing can fail. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

struct buf {
    char *data;   /* owned; the content begins at data + start */
    size_t start; /* bytes given away at the front */
    size_t len;   /* bytes of content */
    size_t capacity;
};

void buf_fini(struct buf *buf); /* leaves an empty buffer that can be used again */

static inline struct span buf_span(const struct buf *buf) {
    return (struct span){buf->data ? buf->data + buf->start : NULL, buf->len};
}

/* At least `room` writable bytes behind the content, to be announced with buf_added(). NULL: no memory. */
MUST_CHECK char *buf_reserve(struct buf *buf, size_t room);
void buf_added(struct buf *buf, size_t count);

MUST_CHECK int buf_append(struct buf *buf, struct span bytes, struct theseus_error *err);
MUST_CHECK int buf_append_integer(struct buf *buf, int64_t number, struct theseus_error *err); /* in decimal */
MUST_CHECK int buf_printf(struct buf *buf, struct theseus_error *err, const char *format, ...) PRINTF_LIKE(3, 4);

/* Drops the first `count` bytes. An emptied buffer that has grown beyond `keep` bytes gives its memory back. */
void buf_consume(struct buf *buf, size_t count, size_t keep);

/* The content as a NUL-terminated string that the caller frees; the buffer is empty afterwards. NULL: no memory. */
MUST_CHECK char *buf_take_string(struct buf *buf);

void buf_fini_cleanup(struct buf *buf); /* CLEANUP(buf_fini) struct buf text = {0}; */
