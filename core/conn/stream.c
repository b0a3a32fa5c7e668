#include "conn/stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
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

int stream_take(struct stream *ret_stream, int fd, struct theseus_error *err) {
    if (inherit_add(fd, err) < 0) {
        (void)close(fd);
        return -1;
    }
    *ret_stream = (struct stream){.fd = fd, .socket = true};
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

static bool can(int fd, int direction, mode_t *ret_mode) {
    const int other = direction == STREAM_READ ? O_WRONLY : O_RDONLY;
    int flags = fcntl(fd, F_GETFL);
    struct stat st;

    if (flags < 0 || fstat(fd, &st) < 0)
        return false;
    *ret_mode = st.st_mode & S_IFMT;
    return (flags & O_ACCMODE) != other && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode));
}

static bool is_same(int a, int b) {
    struct stat one, other;

    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* The best of what an image before has left open: standard input is still the client's, standard output is not. */
struct search {
    int in, out;
};

static void consider(struct search *search, int fd) {
    mode_t mode = 0;

    if (fd <= STDERR_FILENO || (fcntl(fd, F_GETFD) & FD_CLOEXEC)) /* that one is this image's own */
        return;
    bool is_in = is_same(fd, STDIN_FILENO);
    if (search->in < 0 && is_in && can(fd, STREAM_READ, &mode)) {
        search->in = fd;
        return;
    }
    if (search->out < 0 && can(fd, STREAM_WRITE, &mode) && (!is_in || S_ISSOCK(mode) || S_ISCHR(mode)))
        search->out = fd;
}

void stream_find(int *ret_in, int *ret_out) {
    struct search search = {-1, -1};
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) != dirfd(dir))
            consider(&search, (int)strtol(entry->d_name, NULL, 10));
    if (dir)
        (void)closedir(dir);
    *ret_in = search.in >= 0 ? search.in : STDIN_FILENO;
    *ret_out = search.out;
}

bool stream_is_gone(const struct stream *stream) {
    struct pollfd asked = {.fd = stream->fd};

    return poll(&asked, 1, 0) > 0 && (asked.revents & (POLLERR | POLLHUP));
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
