/* Who is at the other end of a UNIX socket, as the kernel says: what the process was when it connected. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mem.h"

struct peer {
    uid_t uid;
    pid_t pid;
    gid_t *groups; /* owned: all that it is in */
    size_t group_count;
};

MUST_CHECK int peer_ask(struct peer *ret_peer, int fd, struct theseus_error *err);
void peer_fini(struct peer *peer);
void peer_fini_cleanup(struct peer *peer);

/* Our own user; else one that the lists name, by number or name. NULL-terminated. */
bool peer_is_admitted(const struct peer *peer, char *const *uids, char *const *gids);
