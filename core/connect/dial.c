#include "connect/dial.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "conn/peer.h"

/* Whoever may make files where the socket lies may pretend to be the server. */
static int check_peer(int fd, const char *path, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(path);
    CLEANUP(peer_fini) struct peer peer = {0};
    struct stat st;

    if (peer_ask(&peer, fd, err) < 0)
        return error_prefix(err, "who listens at '%s' cannot be told: ", path);
    if (peer.uid == getuid() || peer.uid == 0)
        return 0;
    if (stat(dir, &st) == 0 && st.st_uid == peer.uid && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return 0;
    return fail(err, ERR_ACCESS, "the server at '%s' is user %d's, who does not own that directory alone", path,
                (int)peer.uid);
}

int dial(const char *path, struct theseus_error *err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return fail(err, ERR_INVALID, "the socket's path is too long (%zu bytes, %zu are possible): '%s'", strlen(path),
                    sizeof(address.sun_path) - 1, path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_errno(err, "no socket can be made");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return fail_errno(err, "no server answers at '%s'", path);
    if (check_peer(fd, path, err) < 0)
        return -1;
    return fd_take(&fd);
}
