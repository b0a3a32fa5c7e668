/*
 * Makes one call of a library function fail. Preloaded into a server, it counts the calls that the server, or a child
 * of it, makes of the functions below; the n-th one fails with the error that is asked for.
 *
 * $THESEUS_FAULT names a file of this structure, little-endian. It is mapped by every process that the
 * library is loaded into, so a test changes it while the server runs, and what is counted goes on behind an exec. The
 * pid tells a server from its children: an exec does not change it.
 *
 * epoll_ctl() is left alone, since libuv aborts the process where that fails in its loop; and pread(), of which each
 * plugin takes a hundred.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct control {
    uint32_t nth; /* fails; 0: none */
    _Atomic uint32_t count;
    uint32_t error;
    uint32_t pid;
    uint32_t in_children; /* what is not `pid` is counted, instead of what is */
    _Atomic uint32_t failed;
    char name[32]; /* of what has failed */
};

static struct control *control;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("THESEUS_FAULT");
    long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    long at = syscall(SYS_mmap, NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0L);
    (void)syscall(SYS_close, (int)fd);
    control = at == -1 ? NULL : (struct control *)at;
}

static bool fails(const char *name) {
    if (!control || control->nth == 0 || ((uint32_t)getpid() == control->pid) == (control->in_children != 0))
        return false;
    if (atomic_fetch_add(&control->count, 1) + 1 != control->nth)
        return false;
    (void)strncpy(control->name, name, sizeof(control->name) - 1);
    atomic_store(&control->failed, 1);
    errno = (int)control->error;
    return true;
}

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

/* TYPE NAME(PARAMETERS), which hands ARGUMENTS on, or returns FAILURE. */
#define FALLIBLE(TYPE, NAME, FAILURE, PARAMETERS, ARGUMENTS) \
    EXPORT TYPE NAME PARAMETERS;                             \
    EXPORT TYPE NAME PARAMETERS {                            \
        static TYPE(*_Atomic real) PARAMETERS;               \
        if (fails(#NAME))                                    \
            return FAILURE;                                  \
        if (!real)                                           \
            real = (TYPE(*) PARAMETERS)next(#NAME);          \
        return real ARGUMENTS;                               \
    }

FALLIBLE(int, execve, -1, (const char *path, char *const argv[], char *const envp[]), (path, argv, envp))
FALLIBLE(int, posix_spawn, (int)control->error,
         (pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *restrict actions,
          const posix_spawnattr_t *restrict attributes, char *const argv[restrict], char *const envp[restrict]),
         (pid, path, actions, attributes, argv, envp))
FALLIBLE(int, memfd_create, -1, (const char *name, unsigned flags), (name, flags))
FALLIBLE(int, fallocate, -1, (int fd, int mode, off_t offset, off_t len), (fd, mode, offset, len))
FALLIBLE(int, ftruncate, -1, (int fd, off_t len), (fd, len))
FALLIBLE(int, fstat, -1, (int fd, struct stat *ret), (fd, ret))
FALLIBLE(void *, mmap, MAP_FAILED, (void *at, size_t len, int protection, int flags, int fd, off_t offset),
         (at, len, protection, flags, fd, offset))
FALLIBLE(int, pidfd_open, -1, (pid_t pid, unsigned flags), (pid, flags))
FALLIBLE(int, pipe2, -1, (int fds[2], int flags), (fds, flags))
FALLIBLE(int, setitimer, -1, (__itimer_which_t which, const struct itimerval *value, struct itimerval *before),
         (which, value, before))
FALLIBLE(char *, mkdtemp, NULL, (char *pattern), (pattern))
FALLIBLE(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
FALLIBLE(int, rename, -1, (const char *from, const char *to), (from, to))
FALLIBLE(int, flock, -1, (int fd, int operation), (fd, operation))
FALLIBLE(int, fsync, -1, (int fd), (fd))
FALLIBLE(int, dup2, -1, (int fd, int to), (fd, to))
FALLIBLE(int, epoll_create1, -1, (int flags), (flags))
FALLIBLE(int, eventfd, -1, (unsigned count, int flags), (count, flags))
FALLIBLE(int, inotify_init1, -1, (int flags), (flags))
FALLIBLE(int, inotify_add_watch, -1, (int fd, const char *path, uint32_t mask), (fd, path, mask))
FALLIBLE(int, mkostemp, -1, (char *pattern, int flags), (pattern, flags))
FALLIBLE(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
FALLIBLE(int, fstatat, -1, (int dir, const char *restrict path, struct stat *restrict ret, int flags),
         (dir, path, ret, flags))
FALLIBLE(int, stat, -1, (const char *restrict path, struct stat *restrict ret), (path, ret))
FALLIBLE(int, lstat, -1, (const char *restrict path, struct stat *restrict ret), (path, ret))
FALLIBLE(int, access, -1, (const char *path, int mode), (path, mode))
FALLIBLE(int, unlink, -1, (const char *path), (path))
FALLIBLE(ssize_t, sendfile, -1, (int to, int from, off_t *offset, size_t count), (to, from, offset, count))
FALLIBLE(int, socketpair, -1, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
FALLIBLE(FILE *, fopen, NULL, (const char *restrict path, const char *restrict mode), (path, mode))
FALLIBLE(void *, dlopen, NULL, (const char *path, int flags), (path, flags))

/* These two have an argument more where it is needed; one that is not there is no harm to read. */
EXPORT int open(const char *path, int flags, ...);
EXPORT int open(const char *path, int flags, ...) {
    va_list more;

    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return fails("open") ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* What a hardened build calls where it knows that there is no mode. */
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open_2(const char *path, int flags) {
    return fails("open") ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags);
}

EXPORT int fcntl(int fd, int command, ...);
EXPORT int fcntl(int fd, int command, ...) {
    va_list more;

    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return fails("fcntl") ? -1 : (int)syscall(SYS_fcntl, fd, command, argument);
}
