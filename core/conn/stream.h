/*
 * The descriptors of a connection, read and written without ever blocking.
 *
 * O_NONBLOCK belongs to the open file description, which others share (the host's own terminal, a sibling's pipe):
 * pipes and terminals are therefore opened anew, for a description of our own, and sockets are used with MSG_DONTWAIT.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/mem.h"

struct stream {
    int fd;      /* owned */
    bool socket; /* MSG_DONTWAIT rather than O_NONBLOCK */
    bool blocks; /* could not be opened anew: may be used only when it is ready, and then little by little */
};

enum { STREAM_READ, STREAM_WRITE };

MUST_CHECK int stream_open(struct stream *ret_stream, int fd, int direction,
                           struct theseus_error *err); /* fd: borrowed */

/* A connected socket of our own, for both directions: takes it, also where it fails. */
MUST_CHECK int stream_take(struct stream *ret_stream, int fd, struct theseus_error *err);

/* The descriptor of a stream that an earlier image of this process has opened, as it is; `blocks` is what that stream
 * said. Takes it if it succeeds. */
MUST_CHECK int stream_adopt(struct stream *ret_stream, int fd, int direction, bool blocks, struct theseus_error *err);

/* A client's descriptors among those that are open, where no record names them; *ret_out may be -1. */
void stream_find(int *ret_in, int *ret_out);

/* Is nobody there any more who could read it? */
bool stream_is_gone(const struct stream *stream);

void stream_close(struct stream *stream);

/* As read(2) and writev(2): bytes, 0 at the end of the input, -1 with errno (EAGAIN: not now). */
ssize_t stream_read(const struct stream *stream, void *bytes, size_t size);
ssize_t stream_write(const struct stream *stream, const struct iovec *parts, int count);
