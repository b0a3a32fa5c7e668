#include "peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer_inner.h"

/* A sanitizer's own memory is not the server's. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER true
#elif defined(__has_feature)
#define HAS_SANITIZER (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define HAS_SANITIZER false
#endif

/* Node gives a child two socket pairs, Python two pipes. `ends`: ours and the server's, for its input and its output.
 */
static int open_ends(enum peer_kind kind, int ends[4], struct theseus_error *err) {
    int to[2], from[2];
    int r = kind == PEER_PIPE ? pipe2(to, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to);

    if (r == 0)
        r = kind == PEER_PIPE ? pipe2(from, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, from);
    if (r < 0 || fcntl(to[1], F_SETFL, O_NONBLOCK) < 0 || fcntl(from[0], F_SETFL, O_NONBLOCK) < 0)
        return fail_errno(err, "cannot make the server's input and output");
    ends[0] = to[1];
    ends[1] = from[0];
    ends[2] = to[0];
    ends[3] = from[1];
    return 0;
}

static int replace_input(struct peer *peer, const char *path, int *in, struct theseus_error *err) {
    peer_close_in(peer);
    (void)close(*in);
    *in = open(path, O_RDONLY | O_CLOEXEC);
    return *in < 0 ? fail_errno(err, "cannot open '%s'", path) : 0;
}

int peer_new(struct peer **ret_peer, enum peer_kind kind, const struct sandbox *sandbox, const char *input,
             struct theseus_error *err) {
    CLEANUP(peer_free) struct peer *peer = xcalloc(1, sizeof(*peer));
    int ends[4] = {-1, -1, -1, -1};

    *peer = (struct peer){.kind = kind, .in = -1, .out = -1, .pidfd = -1};
    if (open_ends(kind, ends, err) < 0)
        return -1;
    peer->in = ends[0];
    peer->out = ends[1];
    CLEANUP(fd_close) int in = ends[2];
    CLEANUP(fd_close) int out = ends[3];
    if (input && replace_input(peer, input, &in, err) < 0)
        return -1;
    int r = kind == PEER_OBJECT ? object_new(&peer->object, sandbox, fd_take(&in), fd_take(&out), err)
                                : process_begin(peer, sandbox, in, out, err);
    if (r < 0)
        return -1;
    *ret_peer = TAKE_PTR(peer);
    return 0;
}

struct peer *peer_free(struct peer *peer) {
    if (!peer)
        return NULL;
    process_end(peer);
    peer->object = object_free(peer->object);
    peer_close_in(peer);
    if (peer->out >= 0)
        (void)close(peer->out);
    free(peer);
    return NULL;
}

int peer_in(const struct peer *peer) {
    return peer->in;
}

int peer_out(const struct peer *peer) {
    return peer->out;
}

void peer_close_in(struct peer *peer) {
    if (peer->in >= 0)
        (void)close(peer->in);
    peer->in = -1;
}

bool peer_turn(struct peer *peer, int timeout_ms) {
    return peer->object && object_turn(peer->object, timeout_ms);
}

int peer_remake(struct peer *peer, struct theseus_error *err) {
    return peer->object ? object_remake(peer->object, err) : 0;
}

bool peer_is_over(struct peer *peer, int *ret_status) {
    int status;

    if (peer->object) {
        *ret_status = 0;
        return object_is_over(peer->object);
    }
    if (peer->pid && waitpid(peer->pid, &status, WNOHANG) == peer->pid) {
        peer->pid = 0;
        peer->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    *ret_status = peer->status;
    return peer->pid == 0;
}

int peer_over_fd(const struct peer *peer) {
    return peer->pidfd;
}

long peer_memory_kb(const struct peer *peer) {
    CLEANUP(free) char *path = xasprintf("/proc/%d/status", (int)peer->pid);
    FILE *file = peer->pid && !HAS_SANITIZER ? fopen(path, "re") : NULL;
    char line[256];
    long kb = -1;

    while (file && kb < 0 && fgets(line, sizeof(line), file))
        if (sscanf(line, "VmRSS: %ld kB", &kb) != 1)
            kb = -1;
    if (file)
        (void)fclose(file);
    return kb;
}
