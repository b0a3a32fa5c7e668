#include "ledger/ledgerfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "ledger/format.h"

enum { PASSAGE_DIR = 0711 };

/* ---- where ---- */

static int check_memory(const char *dir, struct theseus_error *err) {
    struct statfs fs;

    if (statfs(dir, &fs) < 0)
        return fail_errno(err, "the file system of '%s' cannot be examined", dir);
    if (fs.f_type != TMPFS_MAGIC)
        return fail(err, ERR_MISSING,
                    "'%s' is not on a tmpfs, and what clients have asked for is not written to a disk; set "
                    "server.runtime_dir to a directory that is, such as /run/user/%u/theseus or /dev/shm/theseus-%u",
                    dir, getuid(), getuid());
    return 0;
}

char *ledgerfile_obstacle(const char *dir) {
    struct theseus_error err = {0};

    return check_memory(dir, &err) < 0 ? xstrdup(err.message) : NULL;
}

static char *path_of(const char *dir, const char *socket) {
    CLEANUP(free) char *name = xasprintf("ledger.%016" PRIx64, hash_u64(span_of(socket)));

    return path_join(dir, name);
}

/* ---- whose ---- */

static int check_private(int fd, const char *path, struct theseus_error *err) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail_errno(err, "cannot examine '%s'", path);
    if (!S_ISREG(st.st_mode))
        return fail(err, ERR_ACCESS, "'%s' is no regular file; remove it with: rm '%s'", path, path);
    if (st.st_uid != getuid())
        return fail(err, ERR_ACCESS, "'%s' belongs to another user (uid %u); remove it with: rm '%s'", path,
                    (unsigned)st.st_uid, path);
    if (st.st_mode & 077)
        return fail(err, ERR_ACCESS,
                    "'%s' is open to others, who may have written to it; if nobody has, mend it with: chmod 600 '%s', "
                    "else remove it",
                    path, path);
    return 0;
}

static bool is_at(int fd, const char *path) {
    struct stat here, there;

    return fstat(fd, &here) == 0 && lstat(path, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

/* ---- the lock ---- */

static int open_one(const char *path, int *ret_fd, struct theseus_error *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd < 0 && errno == ELOOP)
        return fail(err, ERR_ACCESS, "'%s' is a symbolic link; remove it with: rm '%s'", path, path);
    if (fd < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EROFS))
        return fail(err, ERR_MISSING, "'%s' cannot be made: %s", path, strerror(errno));
    if (fd < 0)
        return fail_errno(err, "cannot open '%s'", path);
    *ret_fd = fd;
    return 0;
}

static int lock(const char *path, int *ret_fd, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = -1;

    if (open_one(path, &fd, err) < 0 || check_private(fd, path, err) < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? fail(err, ERR_BUSY, "a server has '%s'; who that is says: fuser '%s'", path, path)
                                    : fail_errno(err, "cannot lock '%s'", path);
    if (!is_at(fd, path))
        return fail(err, ERR_BUSY, "a server that was leaving has just removed '%s'", path);
    *ret_fd = fd_take(&fd);
    return 0;
}

/* What makes it a ledger is written last: without that, whoever made it has not come so far as to use it. What cannot
 * be read is no reason to begin another one in its place. */
static int look_inside(int fd, const char *path, bool *ret_begun, struct theseus_error *err) {
    static const struct format_identity none;
    struct format_identity one = {0}, other = {0};

    if (pread(fd, &one, sizeof(one), 0) < 0 ||
        pread(fd, &other, sizeof(other), offsetof(struct format_head, identity_copy)) < 0)
        return fail_errno(err, "cannot read '%s'", path);
    *ret_begun = memcmp(&one, &none, sizeof(one)) != 0 || memcmp(&other, &none, sizeof(other)) != 0;
    return 0;
}

int ledgerfile_open(const char *dir, const char *socket, bool open, int *ret_fd, struct theseus_error *err) {
    CLEANUP(free) char *path = path_of(dir, socket);
    CLEANUP(fd_close) int fd = -1;
    bool begun = false;

    if (fs_make_dir(dir, open ? PASSAGE_DIR : 0700, err) < 0 || check_memory(dir, err) < 0 ||
        lock(path, &fd, err) < 0 || look_inside(fd, path, &begun, err) < 0)
        return -1;
    *ret_fd = fd_take(&fd);
    return begun ? LEDGERFILE_LEFT : 0;
}

/* ---- the name ---- */

bool ledgerfile_is_found(int fd) {
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

void ledgerfile_remove(int fd) {
    CLEANUP(free) char *link = xasprintf("/proc/self/fd/%d", fd);
    char path[4096];

    if (!ledgerfile_is_found(fd))
        return;
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len < 0)
        return; /* best effort: the next server goes on from what is there */
    path[len] = '\0';
    if (is_at(fd, path))
        (void)unlink(path);
}
