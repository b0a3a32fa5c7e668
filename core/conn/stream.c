#include "conn/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/inherit.h"

static bool may_block(mode_t mode) {
    return S_ISFIFO(mode) || S_ISCHR(mode);
}

int stream_open(struct stream *ret_stream, int fd, int direction, struct theseus_error *err) {
    struct stream stream = {.fd = -1};
    struct stat st;
    char path[64];

    if (fstat(fd, &st) < 0)
        return fail_errno(err, "descriptor %d cannot be used", fd);
    stream.socket = S_ISSOCK(st.st_mode);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (may_block(st.st_mode))
        stream.fd = open(path, (direction == STREAM_READ ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    stream.blocks = stream.fd < 0 && may_block(st.st_mode);
    if (stream.fd < 0) /* a socket, a file, or another user's pipe */
        stream.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (stream.fd < 0)
        return fail_errno(err, "descriptor %d cannot be duplicated", fd);
    if (inherit_add(stream.fd, err) < 0) {
        (void)close(stream.fd);
        return -1;
    }
    *ret_stream = stream;
    return 0;
}

/* Is this open file description our own, so that its O_NONBLOCK says that nothing will block? */
static bool is_own(int flags, bool blocks) {
    return !blocks && (flags & O_NONBLOCK);
}

int stream_adopt(struct stream *ret_stream, int fd, int direction, bool blocks, struct theseus_error *err) {
    const int other = direction == STREAM_READ ? O_WRONLY : O_RDONLY;
    struct stat st;

    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &st) < 0)
        return fail_errno(err, "descriptor %d was not handed over", fd);
    if ((flags & O_ACCMODE) == other)
        return fail(err, ERR_INVALID, "descriptor %d is not the one that was handed over: it cannot be %s", fd,
                    direction == STREAM_READ ? "read" : "written");
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return fail_errno(err, "descriptor %d cannot be kept from other programs", fd);
    if (inherit_add(fd, err) < 0)
        return -1;
    *ret_stream = (struct stream){.fd = fd, .socket = S_ISSOCK(st.st_mode)};
    ret_stream->blocks = may_block(st.st_mode) && !is_own(flags, blocks);
    return 0;
}

void stream_close(struct stream *stream) {
    inherit_drop(stream->fd);
    if (stream->fd >= 0)
        (void)close(stream->fd);
    stream->fd = -1;
}

ssize_t stream_read(const struct stream *stream, void *bytes, size_t size) {
    if (stream->socket)
        return recv(stream->fd, bytes, size, MSG_DONTWAIT);
    return read(stream->fd, bytes, size);
}

ssize_t stream_write(const struct stream *stream, const struct iovec *parts, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};

    if (stream->socket)
        return sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (!stream->blocks)
        return writev(stream->fd, parts, count);
    /* A pipe that is ready takes PIPE_BUF bytes without blocking (pipe(7)), and maybe no more. */
    return write(stream->fd, parts[0].iov_base, parts[0].iov_len < PIPE_BUF ? parts[0].iov_len : PIPE_BUF);
}
