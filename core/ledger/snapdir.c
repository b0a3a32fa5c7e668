#include "ledger/snapdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

enum { TRY_ATTEMPTS = 16, LOCK_WAIT_MS = 5000 };

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
static const char *const endings[] = {
    [SNAP_GOOD] = ".snap", [SNAP_DRAFT] = ".snap.new", [SNAP_REFUSED] = ".snap.refused", [SNAP_LOCK] = ".lock"};

bool snap_is_boot_id(const char *text) {
    size_t len = strlen(text);

    return len > 0 && len < SEAL_TEXT_BYTES && strspn(text, letters) == len;
}

void snap_name(const struct snap *snap, char name[static SNAP_NAME_BYTES]) {
    if (snap->state == SNAP_LOCK)
        (void)snprintf(name, SNAP_NAME_BYTES, "%s%s", snap->boot_id, endings[SNAP_LOCK]);
    else
        (void)snprintf(name, SNAP_NAME_BYTES, "%s.%08" PRIx32 ".%" PRIu32 "%s", snap->boot_id, snap->serial,
                       snap->claims, endings[snap->state]);
}

/* Does `name` name one of ours? What snap_name() would not write is none. */
static bool parse_name(const char *name, struct snap *ret_snap) {
    struct snap snap = {0};
    char again[SNAP_NAME_BYTES];
    size_t len = strcspn(name, ".");

    if (len == 0 || len >= sizeof(snap.boot_id))
        return false;
    memcpy(snap.boot_id, name, len);
    if (!snap_is_boot_id(snap.boot_id))
        return false;
    bool numbered = sscanf(name + len, ".%8" SCNx32 ".%9" SCNu32, &snap.serial, &snap.claims) == 2;
    for (int state = numbered ? SNAP_GOOD : SNAP_LOCK; state <= (numbered ? SNAP_REFUSED : SNAP_LOCK); state++) {
        snap.state = (enum snap_state)state;
        snap_name(&snap, again);
        if (strcmp(again, name) == 0) {
            *ret_snap = snap;
            return true;
        }
    }
    return false;
}

void snap_list_fini(struct snap_list *list) {
    free(list->snaps);
    *list = (struct snap_list){0};
}

void snap_list_fini_cleanup(struct snap_list *list) {
    snap_list_fini(list);
}

static void list_add(struct snap_list *list, const struct snap *snap) {
    list->snaps = xreallocarray(list->snaps, list->count + 1, sizeof(*snap));
    list->snaps[list->count++] = *snap;
}

static int by_serial(const void *a, const void *b) {
    const struct snap *one = a, *other = b;

    return one->serial < other->serial ? 1 : -(one->serial > other->serial);
}

static int by_age(const void *a, const void *b) {
    const struct snap *one = a, *other = b;

    if (one->changed_ms != other->changed_ms)
        return one->changed_ms < other->changed_ms ? 1 : -1;
    int r = strcmp(one->boot_id, other->boot_id);
    return r ? r : by_serial(a, b);
}

static int visit(int dir_fd, const char *name, const char *boot_id, struct snap_list *list, struct theseus_error *err) {
    struct snap snap;
    struct stat st;

    if (!parse_name(name, &snap) || (boot_id && strcmp(snap.boot_id, boot_id) != 0))
        return 0;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) /* unless it is gone since it was listed */
        return errno == ENOENT ? 0 : fail_errno(err, "cannot examine the snapshot '%s'", name);
    snap.changed_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    list_add(list, &snap);
    return 0;
}

static int visit_all(DIR *stream, const char *boot_id, struct snap_list *list, struct theseus_error *err) {
    errno = 0;
    for (struct dirent *entry; (entry = readdir(stream)); errno = 0)
        if (visit(dirfd(stream), entry->d_name, boot_id, list, err) < 0)
            return -1;
    return errno == 0 ? 0 : fail_errno(err, "cannot read it");
}

int snapdir_list(const char *dir, const char *boot_id, struct snap_list *ret_list, struct theseus_error *err) {
    CLEANUP(snap_list_fini) struct snap_list list = {0};
    DIR *stream = opendir(dir);

    if (!stream)
        return errno == ENOENT ? SNAPDIR_NONE : fail_errno(err, "cannot open the directory '%s'", dir);
    int r = visit_all(stream, boot_id, &list, err);
    (void)closedir(stream);
    if (r < 0)
        return error_prefix(err, "directory '%s': ", dir);
    if (list.count)
        qsort(list.snaps, list.count, sizeof(*list.snaps), boot_id ? by_serial : by_age);
    *ret_list = list;
    list = (struct snap_list){0};
    return 0;
}

char *snapdir_path(const char *dir, const struct snap *snap) {
    char name[SNAP_NAME_BYTES];

    snap_name(snap, name);
    return path_join(dir, name);
}

static char *lock_path(const char *dir, const char *boot_id) {
    struct snap lock = {.state = SNAP_LOCK};

    (void)snprintf(lock.boot_id, sizeof(lock.boot_id), "%s", boot_id);
    return snapdir_path(dir, &lock);
}

static bool is_at(int fd, const char *path) {
    struct stat here, there;

    return fstat(fd, &here) == 0 && lstat(path, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

bool snapdir_is_lock(const char *dir, const char *boot_id, int fd) {
    CLEANUP(free) char *path = lock_path(dir, boot_id);

    return is_at(fd, path);
}

/* One attempt. SNAPDIR_ALIVE and errno: EWOULDBLOCK, somebody has it; ESTALE, it was removed meanwhile. */
static int attempt(const char *path, int *ret_fd, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail_errno(err, "cannot make the lock '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? SNAPDIR_ALIVE : fail_errno(err, "cannot lock '%s'", path);
    if (!is_at(fd, path)) {
        errno = ESTALE;
        return SNAPDIR_ALIVE;
    }
    *ret_fd = fd_take(&fd);
    return 0;
}

int snapdir_try_lock(const char *dir, const char *boot_id, int *ret_fd, struct theseus_error *err) {
    CLEANUP(free) char *path = lock_path(dir, boot_id);
    int r = SNAPDIR_ALIVE;

    errno = ESTALE;
    for (int i = 0; i < TRY_ATTEMPTS && r == SNAPDIR_ALIVE && errno == ESTALE; i++)
        r = attempt(path, ret_fd, err);
    return r;
}

int snapdir_lock(const char *dir, const char *boot_id, int *ret_fd, struct theseus_error *err) {
    CLEANUP(free) char *path = lock_path(dir, boot_id);
    const int64_t end = clock_now_ns() + LOCK_WAIT_MS * INT64_C(1000000);
    int r;

    while ((r = attempt(path, ret_fd, err)) == SNAPDIR_ALIVE) {
        if (clock_now_ns() > end)
            return fail(err, ERR_BUSY, "the lock '%s' is held by another process", path);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return r;
}

void snapdir_unlock(const char *dir, const char *boot_id, int *fd) {
    CLEANUP(free) char *path = lock_path(dir, boot_id);

    if (*fd < 0)
        return;
    if (is_at(*fd, path))
        (void)unlink(path);
    (void)close(fd_take(fd));
}

void snapdir_remove(const char *dir, const struct snap *snap) {
    CLEANUP(free) char *path = snapdir_path(dir, snap);

    (void)unlink(path);
}

int snapdir_rename(const char *dir, const struct snap *from, const struct snap *to, struct theseus_error *err) {
    CLEANUP(free) char *old_path = snapdir_path(dir, from);
    CLEANUP(free) char *new_path = snapdir_path(dir, to);

    return rename(old_path, new_path) < 0 ? fail_errno(err, "cannot rename '%s' to '%s'", old_path, new_path) : 0;
}

int snapdir_set_aside(const char *dir, const struct snap *snap, struct theseus_error *err) {
    struct snap refused = *snap;

    refused.state = SNAP_REFUSED;
    return snapdir_rename(dir, snap, &refused, err);
}

int snapdir_sync(const char *dir, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? fail_errno(err, "cannot sync the directory '%s'", dir) : 0;
}
