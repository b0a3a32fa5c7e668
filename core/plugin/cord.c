#include "plugin/cord.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

struct note {
    int64_t tool; /* negative: none */
};

union ancillary {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
};

int cord_pair(int ret_fds[2], struct theseus_error *err) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0
               ? fail_errno(err, "cannot make a socket pair")
               : 0;
}

static int send_note(int cord, int64_t tool, const int *fd, int flags, struct theseus_error *err) {
    struct note note = {tool};
    struct iovec part = {&note, sizeof(note)};
    union ancillary ancillary = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    if (fd) {
        message.msg_control = &ancillary;
        message.msg_controllen = sizeof(ancillary);
        ancillary.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&ancillary.head), fd, sizeof(*fd));
    }
    do
        n = sendmsg(cord, &message, MSG_NOSIGNAL | flags);
    while (n < 0 && errno == EINTR);
    return n < 0 ? fail_errno(err, "cannot reach the other process") : 0;
}

int cord_send_channel(int cord, int channel_fd, struct theseus_error *err) {
    return send_note(cord, -1, &channel_fd, 0, err);
}

int cord_send_channel_now(int cord, int channel_fd) {
    return send_note(cord, -1, &channel_fd, MSG_DONTWAIT, NULL);
}

int cord_send_release(int cord, int64_t tool, struct theseus_error *err) {
    return send_note(cord, tool, NULL, MSG_DONTWAIT, err);
}

static int fd_in(struct msghdr *message) {
    const struct cmsghdr *head = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    return fd;
}

int cord_receive(int cord, int *ret_fd, int64_t *ret_tool, struct theseus_error *err) {
    struct note note;
    struct iovec part = {&note, sizeof(note)};
    union ancillary ancillary = {0};
    /* Room for one descriptor, and not for the bytes behind it: the system closes what is sent beyond. */
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t n;

    do
        n = recvmsg(cord, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return CORD_ENDED;
    CLEANUP(fd_close) int fd = n > 0 ? fd_in(&message) : -1;
    if (n < 0)
        return fail_errno(err, "cannot hear the other process");
    if (n != sizeof(note) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (fd < 0) == (note.tool < 0))
        return fail(err, ERR_INVALID, "the other process sent what is no note");
    if (fd < 0) {
        *ret_tool = note.tool;
        return CORD_RELEASE;
    }
    *ret_fd = fd_take(&fd);
    return CORD_CHANNEL;
}
