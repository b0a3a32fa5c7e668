/*
 * A disk that takes no more, or takes its time. Preloaded into a server, it makes writing to regular files below
 * $THESEUS_DISK fail for as long as the file $THESEUS_DISK_FULL is there; what is in it is the name of the error. So a
 * test fills the disk and makes room again while the server runs. "SLOW" is no error: what was written stays a while on
 * its way to the disk, or as many milliseconds as follow the word.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { SLOW = -1, SLOW_MS = 60 };

static int slow_ms;

/* The error to fail with; 0: there is room. */
static int error_now(void) {
    const char *path = getenv("THESEUS_DISK_FULL");
    char word[16] = "";
    long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return 0;
    (void)!syscall(SYS_read, (int)fd, word, sizeof(word) - 1);
    (void)syscall(SYS_close, (int)fd);
    if (strncmp(word, "SLOW", 4) == 0) {
        slow_ms = word[4] ? atoi(word + 4) : SLOW_MS;
        return SLOW;
    }
    if (strncmp(word, "EROFS", 5) == 0)
        return EROFS;
    return strncmp(word, "EIO", 3) == 0 ? EIO : ENOSPC;
}

static bool is_below(const char *path) {
    const char *disk = getenv("THESEUS_DISK");

    return disk && strncmp(path, disk, strlen(disk)) == 0;
}

static bool is_on_disk(int fd) {
    char link[64], path[PATH_MAX];

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len < 0)
        return false;
    path[len] = '\0';
    return is_below(path);
}

static bool fails(int fd) {
    int saved = errno, error = error_now();

    if (error > 0 && is_on_disk(fd)) {
        errno = error;
        return true;
    }
    errno = saved;
    return false;
}

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

#define WRITER(type, name, parameters, arguments) \
    EXPORT type name parameters;                  \
    EXPORT type name parameters {                 \
        type(*real) parameters = next(#name);     \
        return fails(fd) ? -1 : real arguments;   \
    }

WRITER(ssize_t, write, (int fd, const void *bytes, size_t len), (fd, bytes, len))
WRITER(ssize_t, pwrite, (int fd, const void *bytes, size_t len, off_t at), (fd, bytes, len, at))
WRITER(ssize_t, pwrite64, (int fd, const void *bytes, size_t len, off64_t at), (fd, bytes, len, at))
WRITER(int, ftruncate, (int fd, off_t len), (fd, len))
WRITER(int, ftruncate64, (int fd, off64_t len), (fd, len))
WRITER(int, fallocate, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len))

#define SYNCER(name)                                  \
    EXPORT int name(int fd);                          \
    EXPORT int name(int fd) {                         \
        int (*real)(int) = next(#name);               \
        if (error_now() == SLOW && is_on_disk(fd))    \
            (void)usleep(1000 * (useconds_t)slow_ms); \
        return real(fd);                              \
    }

SYNCER(fsync)
SYNCER(fdatasync)

/* A disk that can only be read gives no file to write to. */
static bool cannot_open(const char *path, int flags) {
    int saved = errno, error = (flags & (O_WRONLY | O_RDWR | O_CREAT)) ? error_now() : 0;
    bool cannot = error == EROFS && is_below(path);
    bool is_there = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;

    errno = !cannot ? saved : is_there && (flags & O_EXCL) ? EEXIST : EROFS;
    return cannot;
}

#define OPENER(name)                                                            \
    EXPORT int name(const char *path, int flags, ...);                          \
    EXPORT int name(const char *path, int flags, ...) {                         \
        int (*real)(const char *, int, ...) = next(#name);                      \
        va_list args;                                                           \
        va_start(args, flags);                                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0; \
        va_end(args);                                                           \
        return cannot_open(path, flags) ? -1 : real(path, flags, mode);         \
    }

OPENER(open)
OPENER(open64)
