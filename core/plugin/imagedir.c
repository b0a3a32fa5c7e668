/*
 * Two processes may meet here: one that makes its directory and one that removes abandoned ones. The lock decides. The
 * remover renames a directory whose lock it got before it touches the files; the maker, once it has the lock, looks
 * whether the lock file is still the one at its path, and begins again if not.
 */
#include "plugin/imagedir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"

#define LOCK_NAME "lock"

enum { MAKE_ATTEMPTS = 32 };

struct imagedir {
    char *runtime_dir, *state_dir, *boot_id;
    _Atomic(char *) path; /* NULL: not open */
    atomic_int lock_fd;   /* -1: not open. Set on the lane, and looked at by the loop, as the path is */
};

struct imagedir *imagedir_new(const char *runtime_dir, const char *state_dir, const char *boot_id) {
    struct imagedir *dir = xcalloc(1, sizeof(*dir));

    dir->runtime_dir = xstrdup(runtime_dir);
    dir->state_dir = xstrdup(state_dir);
    dir->boot_id = xstrdup(boot_id);
    dir->lock_fd = -1;
    return dir;
}

struct imagedir *imagedir_free(struct imagedir *dir) {
    if (!dir)
        return NULL;
    if (dir->lock_fd >= 0)
        (void)close(dir->lock_fd);
    free(dir->path);
    free(dir->runtime_dir);
    free(dir->state_dir);
    free(dir->boot_id);
    free(dir);
    return NULL;
}

void imagedir_clear(const struct imagedir *dir) {
    if (dir && dir->path)
        fs_remove_dir(dir->path);
}

struct imagedir *imagedir_remove(struct imagedir *dir) {
    imagedir_clear(dir);
    return imagedir_free(dir);
}

const char *imagedir_path(const struct imagedir *dir) {
    return dir->path;
}

int imagedir_lock_fd(const struct imagedir *dir) {
    return dir->lock_fd;
}

/* Is `fd` the file that `path` names at this moment? */
static bool is_at(int fd, const char *path) {
    struct stat here, there;

    return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

/* The lock of `path`, or -1 with errno; EAGAIN: somebody removed it meanwhile, try again. */
static int try_lock(const char *path) {
    CLEANUP(free) char *lock_path = path_join(path, LOCK_NAME);

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -1;
    CLEANUP(fd_close) int fd = open(lock_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        errno = errno == ENOENT ? EAGAIN : errno;
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -1; /* EWOULDBLOCK is EAGAIN */
    if (!is_at(fd, lock_path)) {
        errno = EAGAIN;
        return -1;
    }
    return fd_take(&fd);
}

static int make_locked(const char *path, int *ret_fd, struct theseus_error *err) {
    int fd = -1;

    for (int attempt = 0; attempt < MAKE_ATTEMPTS && fd < 0; attempt++) {
        fd = try_lock(path);
        if (fd < 0 && errno != EAGAIN)
            return fail_errno(err, "cannot make and lock the directory '%s'", path);
    }
    if (fd < 0)
        return fail(err, ERR_BUSY, "the directory '%s' is locked by another process", path);
    *ret_fd = fd;
    return 0;
}

/* An entry beside ours: removed if it is a directory of this kind and nobody holds its lock. */
static void sweep_entry(const char *parent, const char *name) {
    CLEANUP(free) char *path = path_join(parent, name);
    CLEANUP(free) char *lock_path = path_join(path, LOCK_NAME);
    CLEANUP(free) char *gone = xasprintf("%s.gone", path);
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    CLEANUP(fd_close) int fd = open(lock_path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT)
            (void)rmdir(path); /* empty: its maker died before the lock was made; otherwise it is not ours */
        return;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_at(fd, lock_path) || rename(path, gone) < 0)
        return;
    fs_remove_dir(gone);
}

void imagedir_sweep_beside(const char *path) {
    CLEANUP(free) char *parent = path_dir(path);
    const char *own = path_base(path);
    DIR *dir = opendir(parent);

    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, own) != 0)
            sweep_entry(parent, entry->d_name);
    if (dir)
        (void)closedir(dir);
}

/* Can what lies in `path` be mapped for execution? */
static int check_exec(const char *path, bool *ret_can, struct theseus_error *err) {
    struct statvfs fs;

    if (statvfs(path, &fs) < 0)
        return fail_errno(err, "cannot examine the file system of '%s'", path);
    *ret_can = !(fs.f_flag & ST_NOEXEC);
    return 0;
}

/* Where other users are let in, they pass through it to the server's socket; what is in it they cannot even list. */
static bool is_passage(const char *path) {
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == getuid() && (st.st_mode & 0777) == 0711;
}

/* The directory in which ours is made. */
static int choose_parent(const struct imagedir *dir, char **ret_parent, struct theseus_error *err) {
    CLEANUP(free) char *instead = path_join(dir->state_dir, "run-images");
    bool can = false;

    if (!is_passage(dir->runtime_dir) && fs_make_private_dir(dir->runtime_dir, err) < 0)
        return -1;
    if (check_exec(dir->runtime_dir, &can, err) < 0)
        return -1;
    if (can) {
        *ret_parent = xstrdup(dir->runtime_dir);
        return 0;
    }
    if (fs_make_private_dir(instead, err) < 0 || check_exec(instead, &can, err) < 0)
        return -1;
    if (!can)
        return fail(
            err, ERR_INVALID,
            "'%s' and '%s' are both mounted noexec, so that no plugin can be loaded; set server.runtime_dir to a "
            "directory that is not",
            dir->runtime_dir, dir->state_dir);
    log_info("'%s' is mounted noexec: copies of plugins go to '%s'", dir->runtime_dir, instead);
    *ret_parent = TAKE_PTR(instead);
    return 0;
}

int imagedir_open(struct imagedir *dir, struct theseus_error *err) {
    CLEANUP(free) char *parent = NULL;
    int fd = -1;

    if (dir->path)
        return 0;
    if (choose_parent(dir, &parent, err) < 0)
        return -1;
    CLEANUP(free) char *path = path_join(parent, dir->boot_id);
    if (make_locked(path, &fd, err) < 0)
        return -1;
    dir->lock_fd = fd;
    dir->path = TAKE_PTR(path);
    imagedir_sweep_beside(dir->path);
    return 0;
}

int imagedir_lock_left(const char *path) {
    CLEANUP(free) char *lock_path = path_join(path, LOCK_NAME);
    CLEANUP(fd_close) int fd = open(lock_path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_at(fd, lock_path) ? fd_take(&fd) : -1;
}

int imagedir_adopt(struct imagedir *dir, const char *path, int lock_fd, struct theseus_error *err) {
    CLEANUP(free) char *lock_path = path_join(path, LOCK_NAME);

    if (dir->path)
        return fail(err, ERR_INTERNAL, "the directory of plugin copies is already open");
    if (!is_at(lock_fd, lock_path))
        return fail(err, ERR_MISSING, "'%s' is not the lock that was handed over", lock_path);
    if (flock(lock_fd, LOCK_EX | LOCK_NB) < 0)
        return fail_errno(err, "cannot lock '%s'", lock_path);
    if (fcntl(lock_fd, F_SETFD, FD_CLOEXEC) < 0)
        return fail_errno(err, "cannot keep the lock '%s' to this process", lock_path);
    dir->path = xstrdup(path);
    dir->lock_fd = lock_fd;
    return 0;
}

char *imagedir_name(const struct imagedir *dir, const char *file, unsigned generation, const char *hash) {
    CLEANUP(free) char *base = xstrdup(path_base(file));
    size_t len = strlen(base);

    if (len > 3 && strcmp(base + len - 3, ".so") == 0)
        base[len - 3] = '\0';
    char *path = xasprintf("%s/%.128s.%u.%s.so", dir->path, base, generation, hash);
    for (unsigned again = 2; access(path, F_OK) == 0; again++) {
        free(path);
        path = xasprintf("%s/%.128s.%u.%s.%u.so", dir->path, base, generation, hash, again);
    }
    return path;
}
