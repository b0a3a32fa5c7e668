/*
 * Makes one call of a library function fail. Preloaded into a server, it counts the calls that the server, or a child
 * of it, makes of the functions below; the n-th one fails with the error that is asked for.
 *
 * $THESEUS_FAULT names a file of this structure, little-endian. It is mapped by every process that the
 * library is loaded into, so a test changes it while the server runs, and what is counted goes on behind an exec. The
 * pid tells a server from its children: an exec does not change it.
 *
 * epoll_ctl() is left alone, since libuv aborts the process where that fails in its loop, and so is getrandom(), which
 * does not fail once a machine runs, and of which libsodium expects no less. What reads and writes, looks
 * through directories, and all that SQLite calls is counted where `more` says so, and pread(), of which each plugin
 * takes a hundred, where it is 2. Of read() and write() only those of files are: what a pipe's other end sees is
 * another matter.
 */
#include <dirent.h>
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
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct control {
    uint32_t nth; /* fails; 0: none */
    _Atomic uint32_t count;
    uint32_t error;
    _Atomic uint32_t pid; /* 0: of the first process that has the library */
    uint32_t in_children; /* what is not `pid` is counted, instead of what is */
    _Atomic uint32_t failed;
    uint32_t more;
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
    uint32_t nobody = 0;
    if (control)
        (void)atomic_compare_exchange_strong(&control->pid, &nobody, (uint32_t)getpid());
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

static bool fails_more(const char *name) {
    return control && control->more && fails(name);
}

static bool fails_file(const char *name, int fd) {
    struct stat st;

    return control && control->more && syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode) && fails(name);
}

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

/* TYPE NAME(PARAMETERS), which hands ARGUMENTS on, or returns FAILURE. */
#define FALLIBLE_IF(IF, TYPE, NAME, FAILURE, PARAMETERS, ARGUMENTS) \
    EXPORT TYPE NAME PARAMETERS;                                    \
    EXPORT TYPE NAME PARAMETERS {                                   \
        static TYPE(*_Atomic real) PARAMETERS;                      \
        if (IF)                                                     \
            return FAILURE;                                         \
        if (!real)                                                  \
            real = (TYPE(*) PARAMETERS)next(#NAME);                 \
        return real ARGUMENTS;                                      \
    }
#define FALLIBLE(TYPE, NAME, FAILURE, PARAMETERS, ARGUMENTS) \
    FALLIBLE_IF(fails(#NAME), TYPE, NAME, FAILURE, PARAMETERS, ARGUMENTS)
#define FALLIBLE_MORE(TYPE, NAME, FAILURE, PARAMETERS, ARGUMENTS) \
    FALLIBLE_IF(fails_more(#NAME), TYPE, NAME, FAILURE, PARAMETERS, ARGUMENTS)
#define FALLIBLE_FILE(TYPE, NAME, FAILURE, PARAMETERS, ARGUMENTS) \
    FALLIBLE_IF(fails_file(#NAME, fd), TYPE, NAME, FAILURE, PARAMETERS, ARGUMENTS)

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

FALLIBLE_FILE(ssize_t, read, -1, (int fd, void *bytes, size_t len), (fd, bytes, len))
FALLIBLE_FILE(ssize_t, write, -1, (int fd, const void *bytes, size_t len), (fd, bytes, len))
FALLIBLE_IF(control && control->more > 1 && fails("pread"), ssize_t, pread, -1,
            (int fd, void *bytes, size_t len, off_t at), (fd, bytes, len, at))
FALLIBLE_MORE(ssize_t, pread64, -1, (int fd, void *bytes, size_t len, off64_t at), (fd, bytes, len, at))
FALLIBLE_MORE(ssize_t, pwrite, -1, (int fd, const void *bytes, size_t len, off_t at), (fd, bytes, len, at))
FALLIBLE_MORE(ssize_t, pwrite64, -1, (int fd, const void *bytes, size_t len, off64_t at), (fd, bytes, len, at))
FALLIBLE_MORE(int, fdatasync, -1, (int fd), (fd))
FALLIBLE_MORE(int, ftruncate64, -1, (int fd, off64_t len), (fd, len))
FALLIBLE_MORE(void *, mmap64, MAP_FAILED, (void *at, size_t len, int protection, int flags, int fd, off64_t offset),
              (at, len, protection, flags, fd, offset))
FALLIBLE_MORE(int, fstat64, -1, (int fd, struct stat64 *ret), (fd, ret))
FALLIBLE_MORE(int, stat64, -1, (const char *restrict path, struct stat64 *restrict ret), (path, ret))
FALLIBLE_MORE(int, lstat64, -1, (const char *restrict path, struct stat64 *restrict ret), (path, ret))
FALLIBLE_MORE(int, statfs, -1, (const char *path, struct statfs *ret), (path, ret))
FALLIBLE_MORE(int, fstatfs, -1, (int fd, struct statfs *ret), (fd, ret))
FALLIBLE_MORE(int, statvfs, -1, (const char *restrict path, struct statvfs *restrict ret), (path, ret))
FALLIBLE_MORE(off_t, lseek, -1, (int fd, off_t at, int whence), (fd, at, whence))
FALLIBLE_MORE(DIR *, opendir, NULL, (const char *path), (path))
FALLIBLE_MORE(struct dirent *, readdir, NULL, (DIR * dir), (dir))
FALLIBLE_MORE(int, scandir, -1,
              (const char *restrict path, struct dirent ***restrict ret, int (*wants)(const struct dirent *),
               int (*compare)(const struct dirent **, const struct dirent **)),
              (path, ret, wants, compare))
FALLIBLE_MORE(int, link, -1, (const char *from, const char *to), (from, to))
FALLIBLE_MORE(int, renameat2, -1, (int from_dir, const char *from, int to_dir, const char *to, unsigned flags),
              (from_dir, from, to_dir, to, flags))
FALLIBLE_MORE(int, unlinkat, -1, (int dir, const char *path, int flags), (dir, path, flags))
FALLIBLE_MORE(int, rmdir, -1, (const char *path), (path))
FALLIBLE_MORE(int, chmod, -1, (const char *path, mode_t mode), (path, mode))
FALLIBLE_MORE(int, utimensat, -1, (int dir, const char *path, const struct timespec times[2], int flags),
              (dir, path, times, flags))
FALLIBLE_MORE(ssize_t, readlink, -1, (const char *restrict path, char *restrict to, size_t len), (path, to, len))
FALLIBLE_MORE(char *, realpath, NULL, (const char *restrict path, char *restrict to), (path, to))
FALLIBLE_MORE(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
FALLIBLE_MORE(int, bind, -1, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
FALLIBLE_MORE(int, listen, -1, (int fd, int most), (fd, most))
FALLIBLE_MORE(int, connect, -1, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
FALLIBLE_MORE(int, accept4, -1, (int fd, struct sockaddr *restrict address, socklen_t *restrict len, int flags),
              (fd, address, len, flags))

/* These have an argument more where it is needed; one that is not there is no harm to read. */
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

/* As SQLite calls them. It does not expect that a lock cannot be given back, nor does that happen to a file that is
 * open: the connection would have it for as long as it is open. */
EXPORT int open64(const char *path, int flags, ...);
EXPORT int open64(const char *path, int flags, ...) {
    va_list more;

    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return fails_more("open64") ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

EXPORT int fcntl64(int fd, int command, ...);
EXPORT int fcntl64(int fd, int command, ...) {
    va_list more;

    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    bool unlocks = command == F_SETLK && ((const struct flock *)argument)->l_type == F_UNLCK;
    return !unlocks && fails_more("fcntl64") ? -1 : (int)syscall(SYS_fcntl, fd, command, argument);
}
