/*
 * Wiring of the socket: it is opened, or taken over from the image before or from whoever started the process; who
 * connects is asked who they are before a byte of theirs is read.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "conn/peer.h"
#include "rpc/message.h"
#include "server/handover.h"
#include "server/inner.h"
#include "server/supervisor.h"

enum { SPARE_FILES = 512 }; /* beside the clients' own */

bool listening_is_open(const struct config *config) {
    return (config->access.allow_uid && *config->access.allow_uid) ||
           (config->access.allow_gid && *config->access.allow_gid);
}

/* ---- who comes ---- */

/* One line, as far as it can be written at once, and the end. */
static void turn_away(int fd, const struct theseus_error *why) {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    log_warning("a client is turned away: %s", why->message);
    if (message_write_error(NULL, why, NULL, &line, &err) == 0)
        (void)!write(fd, line.data + line.start, line.len);
    (void)close(fd);
}

static void refuse(struct server *server, int fd, const struct peer *peer) ON_LOOP {
    const struct asker by = {.transport = "unix", .uid = peer->uid};
    CLEANUP(free)
    char *why =
        xasprintf("user %u may not connect; access.allow_uid and access.allow_gid say who may", (unsigned)peer->uid);

    (void)close(fd);
    log_warning("pid %d: %s", (int)peer->pid, why);
    server->listening.refused++;
    chronicle_asked(server->upkeep.chronicle, &by, NULL, "connect", listener_path(server->listener), why);
}

static void on_connected(void *arg, int fd) {
    struct server *server = arg;
    const struct config *config = server->config;
    CLEANUP(fd_close) int owned = fd;
    CLEANUP(peer_fini) struct peer peer = {0};
    struct theseus_error err = {0};

    loop_enter();
    if (peer_ask(&peer, fd, &err) < 0) {
        log_warning("a client is closed: %s", err.message);
    } else if (!peer_is_admitted(&peer, config->access.allow_uid, config->access.allow_gid)) {
        refuse(server, fd_take(&owned), &peer);
    } else if (clients_count(server->clients) >= (size_t)config->limits.max_clients) {
        (void)fail(&err, ERR_LIMIT, "there are %d clients already (limits.max_clients)", config->limits.max_clients);
        turn_away(fd_take(&owned), &err);
        server->listening.turned_away++;
    } else if (clients_accept(server->clients, fd_take(&owned), peer.uid, &err) < 0) {
        log_error("a client is closed: %s", err.message);
    } else {
        server->listening.accepted++;
        tidy_later(server->upkeep.tidy);
        describe_clients_changed(server);
    }
}

/* ---- the socket ---- */

static void keep(struct server *server, const char *name, bool wanted) {
    struct theseus_error err = {0};
    int r = wanted ? handover_keep(server->ledger, name, listener_fd(server->listener), &err)
                   : handover_forget(server->ledger, name, &err);

    if (r < 0)
        log_error("'%s' would be lost in a restart: %s", name, err.message);
}

/* The soft limit is for programs that cannot count beyond it; more clients than that are the point. */
static void raise_files(const struct config *config) {
    struct rlimit limit;
    rlim_t wanted = (rlim_t)config->limits.max_clients + SPARE_FILES;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
        log_warning("limits.max_clients is %d, but the system lets this process have %llu open files",
                    config->limits.max_clients, (unsigned long long)limit.rlim_cur);
}

/* What the image before listened on, unless another path is wanted now. */
static int adopt(struct server *server, const struct listener_origin *origin, const char *name,
                 struct theseus_error *err) ON_LOOP {
    CLEANUP(fd_close) int fd = handover_take(server->ledger, name);

    if (fd < 0)
        return 0;
    if (listener_adopt(&server->listener, origin, fd, strcmp(name, KEPT_GIVEN_LISTENER) == 0, err) < 0)
        return -1;
    (void)fd_take(&fd);
    if (!listener_is_given(server->listener) &&
        strcmp(listener_path(server->listener), server->config->listen.unix_path) != 0)
        server->listening.before = TAKE_PTR(server->listener);          /* until the new one is there */
    if (server->listening.before && !listening_is_open(server->config)) /* the new one may be in the same directory */
        return listener_set_open(server->listening.before, false, err);
    return 0;
}

static int take_given(struct server *server, const struct listener_origin *origin, int given,
                      struct theseus_error *err) ON_LOOP {
    CLEANUP(fd_close) int fd = fcntl(given, F_DUPFD_CLOEXEC, 3);

    if (fd < 0)
        return fail_errno(err, "cannot keep descriptor %d", given);
    if (listener_adopt(&server->listener, origin, fd, true, err) < 0)
        return -1;
    (void)fd_take(&fd);
    return 0;
}

int listening_begin(struct server *server, const struct server_args *args, struct theseus_error *err) {
    const struct listener_origin origin = {.loop = server->loop, .connected = on_connected, .arg = server};
    const struct config *config = server->config;
    int r = 0;

    raise_files(config);
    if (server->follows)
        r = adopt(server, &origin, KEPT_GIVEN_LISTENER, err);
    if (r == 0 && server->follows && !server->listener)
        r = adopt(server, &origin, KEPT_LISTENER, err);
    if (r == 0 && !server->listener && args->is_given)
        r = take_given(server, &origin, args->given, err);
    if (r == 0 && !server->listener)
        r = listener_open(&server->listener, &origin, config->listen.unix_path, listening_is_open(config), err);
    if (r < 0)
        return -1;
    keep(server, KEPT_GIVEN_LISTENER, listener_is_given(server->listener));
    keep(server, KEPT_LISTENER, !listener_is_given(server->listener));
    log_info("clients can connect to '%s'", listener_path(server->listener));
    return 0;
}

/* The environment that had told it is not there any more. */
bool listening_goes_on(struct ledger *ledger) {
    return handover_take(ledger, KEPT_GIVEN_LISTENER) >= 0;
}

void listening_go(struct server *server) {
    if (server->listener) {
        listener_accept(server->listener, true);
        supervisor_ready();
        describe_begin(server); /* one that waits for its clients is no probe */
    }
    server->listening.before = listener_close(server->listening.before);
    listening_apply(server); /* what was taken over is as open as the image before had it */
}

void listening_apply(struct server *server) {
    struct theseus_error err = {0};

    if (!server->listener)
        return;
    raise_files(server->config);
    if (listener_set_open(server->listener, listening_is_open(server->config), &err) < 0)
        log_error("access.allow_uid, access.allow_gid: %s", err.message);
}

void listening_end(struct server *server) {
    if (server->listener)
        supervisor_stopping();
    server->listener = listener_close(server->listener);
}

void listening_fini(struct server *server) {
    server->listening.before = listener_close(server->listening.before);
    server->listener = listener_free(server->listener);
}

json_t *listening_report_new(const struct server *server) {
    if (!server->listener)
        return NULL;
    return json_pack("{s:s, s:I, s:I, s:I}", "path", listener_path(server->listener), "accepted",
                     (json_int_t)server->listening.accepted, "refused", (json_int_t)server->listening.refused,
                     "turned_away", (json_int_t)server->listening.turned_away);
}
