#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/span.h"

enum { LINE_BYTES = 4096, WAITING_BYTES = 64 << 10 };

/* The one log of the process: threads of plugins write to it, so it cannot hang off a server object. */
static struct {
    pthread_mutex_t lock;
    atomic_int level;
    int fd;     /* -1: not open yet */
    char *path; /* owned */
    off_t size;
    char waiting[WAITING_BYTES]; /* lines before log_open(); what does not fit is dropped, the oldest stay */
    size_t waiting_len;
    unsigned unsaid; /* lines that stderr was not ready for */
} the_log = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO, .fd = -1};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

bool log_wants(enum log_level level) {
    return (int)level >= atomic_load_explicit(&the_log.level, memory_order_relaxed);
}

void log_set_level(enum log_level level) {
    atomic_store(&the_log.level, (int)level);
}

/* "core/conn/outbox.c" → "conn"; a text without a slash is an area already. */
static struct span area_of(const char *file) {
    const char *last = strrchr(file, '/');

    if (!last)
        return span_of(file);
    const char *before = memrchr(file, '/', (size_t)(last - file));
    const char *area = before ? before + 1 : file;
    return (struct span){area, (size_t)(last - area)};
}

/* Another server with this state directory may have rotated the file away under us. */
static bool is_still_ours_locked(void) {
    struct stat mine, there;

    return fstat(the_log.fd, &mine) == 0 && stat(the_log.path, &there) == 0 && mine.st_dev == there.st_dev &&
           mine.st_ino == there.st_ino;
}

static void rename_all_locked(void) {
    for (int i = LIMIT_LOG_FILES; i > 0; i--) {
        CLEANUP(free) char *from = i == 1 ? xstrdup(the_log.path) : xasprintf("%s.%d", the_log.path, i - 1);
        CLEANUP(free) char *to = xasprintf("%s.%d", the_log.path, i);
        (void)rename(from, to); /* absent ones are no error */
    }
}

static void rotate_locked(void) {
    struct stat st;

    if (is_still_ours_locked())
        rename_all_locked();
    int fd = open(the_log.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return; /* goes on in the renamed file rather than losing lines */
    (void)close(the_log.fd);
    the_log.fd = fd;
    the_log.size = fstat(fd, &st) == 0 ? st.st_size : 0;
}

static void keep_locked(const char *line, size_t len) {
    if (the_log.fd < 0) {
        if (the_log.waiting_len + len <= sizeof(the_log.waiting)) {
            memcpy(the_log.waiting + the_log.waiting_len, line, len);
            the_log.waiting_len += len;
        }
        return;
    }
    if (the_log.size + (off_t)len > LIMIT_LOG_FILE)
        rotate_locked();
    ssize_t n = write(the_log.fd, line, len); /* a full disk costs log lines and nothing else */
    if (n < 0 && errno == EBADF) {            /* somebody has closed it */
        the_log.fd = open(the_log.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        n = write(the_log.fd, line, len);
    }
    if (n > 0)
        the_log.size += n;
}

/*
 * stderr may be a pipe whose reader has stopped reading: one that is not ready is not waited for. A pipe that is ready
 * takes PIPE_BUF bytes (pipe(7)), and a line is no longer than that.
 */
static void say_locked(const char *line, size_t len) {
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    char lost[64];

    if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) {
        the_log.unsaid++;
        return;
    }
    if (the_log.unsaid > 0) {
        int lost_len = snprintf(lost, sizeof(lost), "(%u lines could not be written here)\n", the_log.unsaid);
        the_log.unsaid = 0;
        if (write(STDERR_FILENO, lost, (size_t)lost_len) < 0 || poll(&ready, 1, 0) != 1)
            return;
    }
    if (write(STDERR_FILENO, line, len) < 0)
        the_log.unsaid++;
}

/* One line is one line: control characters of a peer's text may not forge another. */
static void flatten(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ')
            *text = ' ';
}

void log_write(enum log_level level, const char *area, const char *format, ...) {
    char text[LINE_BYTES - 128], line[LINE_BYTES], now[CLOCK_TEXT_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    flatten(text);
    struct span name = area_of(area);
    int len = snprintf(line, sizeof(line), "%s %-7s %.*s: %s\n", clock_rfc3339(clock_wall_ms(), now),
                       level_names[level], (int)name.len, name.data, text);
    (void)pthread_mutex_lock(&the_log.lock);
    keep_locked(line, (size_t)len);
    if (level >= LOG_WARNING || isatty(STDERR_FILENO))
        say_locked(line, (size_t)len);
    (void)pthread_mutex_unlock(&the_log.lock);
}

int log_open(const char *path, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return fail_errno(err, "cannot open the log file '%s'", path);
    if (st.st_mode & 077)
        return fail(err, ERR_ACCESS, "the log file '%s' is open to others; mend it with: chmod 600 '%s'", path, path);
    (void)pthread_mutex_lock(&the_log.lock);
    if (the_log.fd >= 0)
        (void)close(the_log.fd);
    free(the_log.path);
    the_log.path = xstrdup(path);
    the_log.fd = fd_take(&fd);
    the_log.size = st.st_size;
    keep_locked(the_log.waiting, the_log.waiting_len);
    the_log.waiting_len = 0;
    (void)pthread_mutex_unlock(&the_log.lock);
    return 0;
}

bool log_is_open(void) {
    (void)pthread_mutex_lock(&the_log.lock);
    bool open = the_log.fd >= 0;
    (void)pthread_mutex_unlock(&the_log.lock);
    return open;
}

void log_close(void) {
    (void)pthread_mutex_lock(&the_log.lock);
    if (the_log.fd >= 0)
        (void)close(the_log.fd);
    the_log.fd = -1;
    free(the_log.path);
    the_log.path = NULL;
    (void)pthread_mutex_unlock(&the_log.lock);
}
