#include "conn/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/inherit.h"
#include "base/log.h"
#include "conn/passage.h"
#include "conn/peer.h"
#include "loop/poll.h"
#include "loop/timer.h"

enum {
    ACCEPTS_PER_TURN = 64,
    RETRY_MS = 100, /* when there is no descriptor for one more: they wait in the kernel */
    PRIVATE_SOCKET = 0600,
    OPEN_SOCKET = 0666,
};

struct listener {
    struct listener_origin origin;
    int fd;              /* owned */
    char *path;          /* owned; NULL: it has none */
    bool given;          /* the file is somebody else's */
    struct poll *poll;   /* owned */
    struct timer *retry; /* owned: runs while nobody can be let in */
    bool wanted, said;
};

/* ---- letting in ---- */

static void want(struct listener *listener, bool wanted) ON_LOOP {
    poll_want(listener->poll, wanted ? POLL_READ : 0);
}

static void on_retry(void *arg) {
    struct listener *listener = arg;

    loop_enter();
    want(listener, listener->wanted);
}

static void rest(struct listener *listener) ON_LOOP {
    if (!listener->said)
        log_error("a client cannot be let in: %m; it waits, and is tried again every %d ms", RETRY_MS);
    listener->said = true;
    want(listener, false);
    timer_start(listener->retry, RETRY_MS, 0);
}

static void on_ready(void *arg, int events) {
    struct listener *listener = arg;

    loop_enter();
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && listener->wanted; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            listener->said = false;
            listener->origin.connected(listener->origin.arg, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(listener);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* nobody more */
        }
    }
}

void listener_accept(struct listener *listener, bool wanted) {
    listener->wanted = wanted;
    want(listener, wanted);
}

/* ---- where it stands ---- */

static int address_of(const char *path, struct sockaddr_un *ret_address, struct theseus_error *err) {
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(ret_address->sun_path))
        return fail(err, ERR_INVALID,
                    "the path of the socket is longer than %zu bytes: '%s'; set listen.unix to a "
                    "shorter one",
                    sizeof(ret_address->sun_path) - 1, path);
    memcpy(ret_address->sun_path, path, strlen(path) + 1);
    return 0;
}

static int refuse_busy(int fd, const char *path, struct theseus_error *err) {
    CLEANUP(peer_fini) struct peer peer = {0};
    struct theseus_error unknown = {0};

    if (peer_ask(&peer, fd, &unknown) < 0 || peer.pid == 0)
        return fail(err, ERR_BUSY, "a server listens on '%s' already; end that one, or set listen.unix to another path",
                    path);
    return fail(err, ERR_BUSY,
                "a server (pid %d) listens on '%s' already; end it with: kill %d, or set listen.unix to another path",
                (int)peer.pid, path, (int)peer.pid);
}

/* Whoever has listened may have been killed, and a child that it was just starting have its descriptors for a moment
 * more: nobody will let anybody in. */
static bool is_gone(int fd) {
    CLEANUP(peer_fini) struct peer peer = {0};
    struct theseus_error unknown = {0};

    return peer_ask(&peer, fd, &unknown) == 0 && peer.pid > 0 && kill(peer.pid, 0) < 0 && errno == ESRCH;
}

/* Connected to who listens there, if anybody does; else errno. */
static bool reach(const struct sockaddr_un *address, int fd) {
    return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN;
}

bool listener_is_served(const char *path) {
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct theseus_error err = {0};
    struct sockaddr_un address;

    return fd >= 0 && address_of(path, &address, &err) == 0 && reach(&address, fd) && !is_gone(fd);
}

/* Does somebody listen on the socket that is there? */
static int check_left_over(const struct sockaddr_un *address, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return fail_errno(err, "cannot make a socket");
    bool reached = reach(address, fd);
    if (!reached && errno != ECONNREFUSED && errno != ENOENT)
        return fail_errno(err, "whether somebody listens on '%s' cannot be found out", address->sun_path);
    if (reached && !is_gone(fd))
        return refuse_busy(fd, address->sun_path, err);
    log_info("'%s' was left behind by a server that is gone, and is replaced", address->sun_path);
    if (unlink(address->sun_path) < 0 && errno != ENOENT)
        return fail_errno(err, "cannot remove the socket '%s' that was left behind", address->sun_path);
    return 0;
}

static int make_way(const struct sockaddr_un *address, struct theseus_error *err) {
    const char *path = address->sun_path;
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : fail_errno(err, "cannot examine '%s'", path);
    if (S_ISSOCK(st.st_mode))
        return check_left_over(address, err);
    return fail(err, ERR_INVALID, "'%s' is %s, and no socket; if nobody needs it, remove it with: rm '%s'", path,
                S_ISLNK(st.st_mode)   ? "a symbolic link"
                : S_ISDIR(st.st_mode) ? "a directory"
                                      : "a file",
                path);
}

static int bind_socket(const struct sockaddr_un *address, bool open_to_all, int *ret_fd, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
        chmod(address->sun_path, open_to_all ? OPEN_SOCKET : PRIVATE_SOCKET) < 0 || listen(fd, SOMAXCONN) < 0)
        return fail_errno(err, "cannot listen on '%s'", address->sun_path);
    *ret_fd = fd_take(&fd);
    return 0;
}

/* ---- life ---- */

static int make(struct listener **ret_listener, const struct listener_origin *origin, int fd,
                struct theseus_error *err) ON_LOOP {
    struct listener *listener = xcalloc(1, sizeof(*listener));

    *listener = (struct listener){.origin = *origin, .fd = fd};
    if (inherit_add(fd, err) < 0 || poll_new(&listener->poll, origin->loop, fd, on_ready, listener, err) < 0) {
        inherit_drop(fd);
        free(listener);
        return -1;
    }
    listener->retry = timer_new(origin->loop, on_retry, listener);
    *ret_listener = listener;
    return 0;
}

int listener_open(struct listener **ret_listener, const struct listener_origin *origin, const char *path, bool open,
                  struct theseus_error *err) {
    CLEANUP(fd_close) int dir = -1;
    CLEANUP(fd_close) int fd = -1;
    struct sockaddr_un address;

    if (address_of(path, &address, err) < 0 || passage_enter(path, open, &dir, err) < 0 ||
        make_way(&address, err) < 0 || passage_set(path, open, err) < 0 || bind_socket(&address, open, &fd, err) < 0 ||
        make(ret_listener, origin, fd, err) < 0)
        return -1;
    (void)fd_take(&fd);
    (*ret_listener)->path = xstrdup(path);
    return 0;
}

static int check_listens(int fd, struct theseus_error *err) {
    int domain = 0, type = 0, listens = 0;
    socklen_t size = sizeof(int);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0)
        return fail_errno(err, "descriptor %d is no socket to listen on", fd);
    if (domain != AF_UNIX || type != SOCK_STREAM || !listens)
        return fail(err, ERR_INVALID, "descriptor %d is no UNIX stream socket that listens", fd);
    return 0;
}

int listener_adopt(struct listener **ret_listener, const struct listener_origin *origin, int fd, bool is_given,
                   struct theseus_error *err) {
    struct sockaddr_un address = {0};
    socklen_t size = sizeof(address);

    if (check_listens(fd, err) < 0)
        return -1;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        return fail_errno(err, "cannot use descriptor %d to listen on", fd);
    if (make(ret_listener, origin, fd, err) < 0)
        return -1;
    (*ret_listener)->given = is_given;
    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0 && address.sun_path[0])
        (*ret_listener)->path = xstrndup(address.sun_path, sizeof(address.sun_path));
    return 0;
}

struct listener *listener_free(struct listener *listener) {
    if (!listener)
        return NULL;
    listener->retry = timer_free(listener->retry);
    listener->poll = poll_free(listener->poll);
    inherit_drop(listener->fd);
    (void)close(listener->fd);
    free(listener->path);
    free(listener);
    return NULL;
}

struct listener *listener_close(struct listener *listener) {
    struct theseus_error err = {0};

    if (listener && listener->path && !listener->given) {
        (void)unlink(listener->path); /* best effort: whoever comes next replaces what nobody listens on */
        if (passage_set(listener->path, false, &err) < 0)
            log_warning("%s", err.message);
    }
    return listener_free(listener);
}

int listener_set_open(struct listener *listener, bool open, struct theseus_error *err) {
    if (listener->given || !listener->path)
        return 0;
    if (passage_set(listener->path, open, err) < 0)
        return -1;
    if (chmod(listener->path, open ? OPEN_SOCKET : PRIVATE_SOCKET) < 0)
        return fail_errno(err, "cannot change who may reach '%s'", listener->path);
    return 0;
}

int listener_fd(const struct listener *listener) {
    return listener ? listener->fd : -1;
}

const char *listener_path(const struct listener *listener) {
    return listener->path ? listener->path : "(a socket without a name)";
}

bool listener_is_given(const struct listener *listener) {
    return listener->given;
}
