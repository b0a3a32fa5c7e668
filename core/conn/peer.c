#include "conn/peer.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The supplementary groups, and the one that it has otherwise. A kernel that cannot tell the former tells the latter.
 */
static int ask_groups(struct peer *peer, int fd, gid_t own, struct theseus_error *err) {
    socklen_t size = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno != ERANGE)
        size = 0;
    peer->groups = xcalloc(size / sizeof(gid_t) + 1, sizeof(gid_t));
    if (size > 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) < 0)
        return fail_errno(err, "cannot ask for the groups of the client");
    peer->group_count = size / sizeof(gid_t);
    peer->groups[peer->group_count++] = own;
    return 0;
}

int peer_ask(struct peer *ret_peer, int fd, struct theseus_error *err) {
    CLEANUP(peer_fini) struct peer peer = {0};
    struct ucred who;
    socklen_t size = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
        return fail_errno(err, "cannot ask who the client is");
    peer.uid = who.uid;
    peer.pid = who.pid;
    if (ask_groups(&peer, fd, who.gid, err) < 0)
        return -1;
    *ret_peer = peer;
    peer = (struct peer){0};
    return 0;
}

void peer_fini(struct peer *peer) {
    free(peer->groups);
    *peer = (struct peer){0};
}

void peer_fini_cleanup(struct peer *peer) {
    peer_fini(peer);
}

static bool is_number(const char *word) {
    return *word && strspn(word, "0123456789") == strlen(word);
}

static bool names_user(const char *word, uid_t uid) {
    const struct passwd *user = is_number(word) ? NULL : getpwnam(word);

    return is_number(word) ? strtoul(word, NULL, 10) == uid : user && user->pw_uid == uid;
}

static bool names_group(const char *word, const struct peer *peer) {
    const struct group *group = is_number(word) ? NULL : getgrnam(word);
    unsigned long gid = is_number(word) ? strtoul(word, NULL, 10) : group ? group->gr_gid : 0;

    for (size_t i = 0; (group || is_number(word)) && i < peer->group_count; i++)
        if (peer->groups[i] == gid)
            return true;
    return false;
}

bool peer_is_admitted(const struct peer *peer, char *const *uids, char *const *gids) {
    bool admitted = peer->uid == geteuid();

    for (size_t i = 0; !admitted && uids && uids[i]; i++)
        admitted = names_user(uids[i], peer->uid);
    for (size_t i = 0; !admitted && gids && gids[i]; i++)
        admitted = names_group(gids[i], peer);
    return admitted;
}
