#include "plugin/cord.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

struct note {
    int64_t tool; /* or one of those below */
};

enum { NO_TOOL = -1, CRASHED = -2, SHORT = -3 };

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
    return send_note(cord, NO_TOOL, &channel_fd, 0, err);
}

int cord_send_channel_now(int cord, int channel_fd) {
    return send_note(cord, NO_TOOL, &channel_fd, MSG_DONTWAIT, NULL);
}

int cord_send_release(int cord, int64_t tool, struct theseus_error *err) {
    return send_note(cord, tool, NULL, MSG_DONTWAIT, err);
}

void cord_send_crash(int cord, const struct cord_crash *crash) {
    struct note note = {CRASHED};
    struct iovec parts[] = {{&note, sizeof(note)}, {(void *)(uintptr_t)crash, sizeof(*crash)}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};

    (void)!sendmsg(cord, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void cord_send_short(int cord) {
    (void)!send_note(cord, SHORT, NULL, MSG_DONTWAIT, NULL);
}

static int fd_in(struct msghdr *message) {
    const struct cmsghdr *head = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    return fd;
}

bool cord_wait(int cord, int ms) {
    struct pollfd waiting = {.fd = cord, .events = POLLIN};

    return poll(&waiting, 1, ms) != 0; /* a signal: whoever receives waits on */
}

/* What a message of that length says; 0: nothing that is known. */
static int meaning(const struct note *note, size_t len, bool has_fd) {
    const bool is_crash = note->tool == CRASHED && len == sizeof(*note) + sizeof(struct cord_crash);

    if (has_fd || (len != sizeof(*note) && !is_crash))
        return has_fd && len == sizeof(*note) && note->tool == NO_TOOL ? CORD_CHANNEL : 0;
    return is_crash ? CORD_CRASHED : note->tool >= 0 ? CORD_RELEASE : note->tool == SHORT ? CORD_SHORT : 0;
}

int cord_receive(int cord, struct cord_news *ret_news, struct theseus_error *err) {
    struct note note;
    struct iovec parts[] = {{&note, sizeof(note)}, {&ret_news->crash, sizeof(ret_news->crash)}};
    union ancillary ancillary = {0};
    /* Room for one descriptor, and not for the bytes behind it: the system closes what is sent beyond. */
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = ARRAY_SIZE(parts),
                             .msg_control = &ancillary,
                             .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t n;

    do
        n = recvmsg(cord, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return CORD_ENDED;
    CLEANUP(fd_close) int fd = n > 0 ? fd_in(&message) : -1;
    if (n < 0)
        return fail_errno(err, "cannot hear the other process");
    int what = n < (ssize_t)sizeof(note) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
                   ? 0
                   : meaning(&note, (size_t)n, fd >= 0);
    if (what == 0)
        return fail(err, ERR_INVALID, "the other process sent what is no note");
    ret_news->tool = note.tool;
    ret_news->fd = fd_take(&fd);
    return what;
}
