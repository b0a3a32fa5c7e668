#include "loop/dirnotify.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/inherit.h"
#include "base/mem.h"
#include "loop/poll.h"

enum { DIRNOTIFY_BYTES = 16 << 10, OFFERS_MAX = 8 };

struct dirnotify {
    int fd;
    struct poll *poll;
    dirnotify_fn *fn;
    void *arg;
};

/* Descriptors are the process's, and so is what was left of them; of the loop. */
static struct {
    int fds[OFFERS_MAX]; /* borrowed */
    size_t count;
} offers;

void dirnotify_offer(int fd) {
    if (offers.count < OFFERS_MAX)
        offers.fds[offers.count++] = fd;
}

void dirnotify_offer_none(void) {
    offers.count = 0;
}

/* Under a number of its own. */
static int take_offer(void) {
    if (offers.count == 0)
        return -1;
    CLEANUP(fd_close) int fd = fcntl(offers.fds[--offers.count], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 ? fd_take(&fd) : -1;
}

static enum dir_event event_of(const struct inotify_event *event) {
    if (event->mask & IN_Q_OVERFLOW)
        return DIR_LOST;
    if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
        return DIR_GONE;
    if (event->len == 0)
        return DIR_ITSELF;
    if (event->mask & IN_ISDIR)
        return DIR_SUBDIR;
    return event->mask & IN_CREATE ? DIR_MADE : event->mask & IN_MODIFY ? DIR_WRITING : DIR_TOUCHED;
}

static void dirnotify_on_readable(void *arg, int events) {
    _Alignas(struct inotify_event) char bytes[DIRNOTIFY_BYTES];
    struct dirnotify *notify = arg;

    (void)events;
    loop_enter();
    ssize_t n = read(notify->fd, bytes, sizeof(bytes));
    for (char *at = bytes; at < bytes + n;) {
        const struct inotify_event *event = (const struct inotify_event *)(void *)at;
        if (!(event->mask & IN_IGNORED))
            notify->fn(notify->arg, event->wd, event_of(event), event->len ? event->name : NULL);
        at += sizeof(*event) + event->len;
    }
}

int dirnotify_new(struct dirnotify **ret_notify, struct loop *loop, dirnotify_fn *fn, void *arg,
                  struct theseus_error *err) {
    CLEANUP(dirnotify_free) struct dirnotify *notify = xcalloc(1, sizeof(*notify));

    notify->fn = fn;
    notify->arg = arg;
    notify->fd = take_offer();
    if (notify->fd < 0)
        notify->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (notify->fd < 0)
        return fail_errno(err, "cannot be told about changed files (see fs.inotify.max_user_instances)");
    if (inherit_add(notify->fd, err) < 0) /* the exec behind a crash would close it slowly (server/late.h) */
        return -1;
    if (poll_new(&notify->poll, loop, notify->fd, dirnotify_on_readable, notify, err) < 0)
        return -1;
    poll_want(notify->poll, POLL_READ);
    *ret_notify = TAKE_PTR(notify);
    return 0;
}

struct dirnotify *dirnotify_free(struct dirnotify *notify) {
    if (!notify)
        return NULL;
    notify->poll = poll_free(notify->poll);
    inherit_drop(notify->fd);
    fd_close_cleanup(&notify->fd);
    free(notify);
    return NULL;
}

int dirnotify_add(struct dirnotify *notify, const char *path) {
    return inotify_add_watch(notify->fd, path,
                             IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_CREATE |
                                 IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
}

void dirnotify_remove(struct dirnotify *notify, int id) {
    (void)inotify_rm_watch(notify->fd, id); /* the system may have dropped it before */
}
