#include "config/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"

/* A group may read a secret that belongs to root only: that is how root gives it to a service. */
static int check_secret(const struct stat *st, const char *path, struct theseus_error *err) {
    if ((st->st_mode & S_IROTH) || ((st->st_mode & S_IRGRP) && st->st_uid == getuid()))
        return fail(err, ERR_ACCESS, "'%s' may be read by others; mend it with: chmod 600 '%s'", path, path);
    return 0;
}

int trusted_read(const char *path, enum trusted_kind kind, size_t max, struct buf *ret_content,
                 struct theseus_error *err) {
    /* Not blocking: what has the name may be a pipe that nobody writes. */
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return TRUSTED_MISSING;
    if (fd < 0)
        return fail_errno(err, "cannot open '%s'", path);
    if (fstat(fd, &st) < 0)
        return fail_errno(err, "cannot examine '%s'", path);
    if (!S_ISREG(st.st_mode))
        return fail(err, ERR_INVALID, "'%s' is not a regular file", path);
    if (fs_check_trusted(fd, path, err) < 0 || (kind == TRUSTED_SECRET && check_secret(&st, path, err) < 0))
        return -1;
    return fs_read_fd(fd, path, max, ret_content, err);
}
