#include "server/late.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ledger/records.h"
#include "loop/dirnotify.h"
#include "server/handover.h"

#define LATE_PREFIX "late."

enum { LATE_NAME_BYTES = 32, LATE_MAX = 64 };

struct late {
    struct lane *lane;
    struct lane_job job;
    int *fds; /* owned, as is what they stand for */
    size_t count;
    bool closing;
};

/* ---- before the exec ---- */

/* Of whatever part of the process, a plugin and its libraries included. */
static bool closes_slowly(int dir, const char *name) {
    static const char kind[] = "anon_inode:inotify";
    char text[sizeof(kind)];

    return readlinkat(dir, name, text, sizeof(text)) == (ssize_t)strlen(kind) && memcmp(text, kind, strlen(kind)) == 0;
}

static int record_one(struct ledger *ledger, int fd, struct theseus_error *err) {
    char name[LATE_NAME_BYTES];

    (void)snprintf(name, sizeof(name), LATE_PREFIX "%d", fd);
    return handover_keep(ledger, name, fd, err);
}

/* Under a number of its own: whoever has the other may close that one at any moment. */
static int keep_one(struct ledger *ledger, int fd, struct theseus_error *err) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (copy < 0)
        return 0; /* it is gone already, or there is no number left: then the exec closes it */
    if (record_one(ledger, copy, err) == 0)
        return 0;
    (void)close(copy);
    return -1;
}

static size_t find_slow(int slow[static LATE_MAX]) {
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    if (!dir)
        return 0; /* it is about time only */
    for (struct dirent *entry; count < LATE_MAX && (entry = readdir(dir));)
        if (closes_slowly(dirfd(dir), entry->d_name))
            slow[count++] = atoi(entry->d_name);
    (void)closedir(dir);
    return count;
}

int late_keep(struct ledger *ledger, struct theseus_error *err) {
    int slow[LATE_MAX], r = 0;
    size_t count = find_slow(slow);

    for (size_t i = 0; i < count && r == 0; i++)
        r = keep_one(ledger, slow[i], err);
    return r;
}

/* ---- the records ---- */

struct taking {
    struct batch batch;
    int *fds; /* owned */
    size_t count;
};

static bool is_late(const struct kept_record *record) {
    return record->name.len >= strlen(LATE_PREFIX) && memcmp(record->name.data, LATE_PREFIX, strlen(LATE_PREFIX)) == 0;
}

static void take_one(void *arg, const void *recorded) {
    const struct kept_record *record = recorded;
    struct taking *taking = arg;

    if (!is_late(record))
        return;
    taking->fds = xreallocarray(taking->fds, taking->count + 1, sizeof(int));
    taking->fds[taking->count++] = (int)record->fd;
    batch_drop(&taking->batch, &kept_kind, record);
}

/* The descriptors are the caller's, and recorded no more. */
static size_t take(struct ledger *ledger, int **ret_fds) {
    struct taking taking = {0};
    struct theseus_error err = {0};

    ledger_each(ledger, &kept_kind, take_one, &taking);
    if (taking.count > 0 && ledger_commit(ledger, &taking.batch, &err) < 0)
        log_error("records of descriptors could not be dropped: %s", err.message);
    batch_fini(&taking.batch);
    *ret_fds = taking.fds;
    return taking.count;
}

static void close_all(const int *fds, size_t count) {
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
}

void late_drop(struct ledger *ledger) {
    CLEANUP(free) int *fds = NULL;

    dirnotify_offer_none();
    size_t count = take(ledger, &fds);
    close_all(fds, count);
}

/* ---- behind it ---- */

void late_adopt(struct ledger *ledger) {
    CLEANUP(free) int *before = NULL;
    struct theseus_error err = {0};
    int slow[LATE_MAX];

    (void)take(ledger, &before);
    for (size_t count = find_slow(slow); count > 0; count--)
        if (fcntl(slow[count - 1], F_SETFD, FD_CLOEXEC) < 0 || record_one(ledger, slow[count - 1], &err) < 0)
            log_error("descriptor %d stays open: %s", slow[count - 1], err.message);
}

/* A copy of the ledger may name descriptors that this process does not have. */
static void offer_one(void *arg, const void *recorded) {
    const struct kept_record *record = recorded;
    char name[LATE_NAME_BYTES];

    loop_enter();
    (void)snprintf(name, sizeof(name), "%d", (int)record->fd);
    if (is_late(record) && closes_slowly(*(const int *)arg, name))
        dirnotify_offer((int)record->fd);
}

void late_offer(struct ledger *ledger) {
    CLEANUP(fd_close) int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir >= 0)
        ledger_each(ledger, &kept_kind, offer_one, &dir);
}

static void forget(struct late *late) {
    late->count = 0;
    free(TAKE_PTR(late->fds));
}

static void close_run(void *job) {
    struct late *late = container_of((struct lane_job *)job, struct late, job);

    close_all(late->fds, late->count);
    forget(late);
}

static void on_closed(struct lane_job *job, bool timed_out) {
    struct late *late = container_of(job, struct late, job);

    loop_enter();
    (void)timed_out; /* it has no limit */
    late->closing = false;
}

void late_close(struct late *late, struct ledger *ledger) {
    if (late->closing)
        return;
    dirnotify_offer_none();
    late->count = take(ledger, &late->fds);
    if (late->count == 0)
        return;
    late->closing = true;
    late->job = (struct lane_job){.run = close_run, .done = on_closed};
    lane_submit(late->lane, &late->job);
}

struct late *late_new(struct lane *lane) {
    struct late *late = xcalloc(1, sizeof(*late));

    late->lane = lane;
    return late;
}

struct late *late_free(struct late *late) {
    if (!late)
        return NULL;
    close_all(late->fds, late->count);
    forget(late);
    free(late);
    return NULL;
}
