#include "ledger/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "ledger/snapshot_inner.h"

struct snapshot *snapshot_new(const struct snapshot_origin *origin) {
    struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));

    snapshot->dir = xstrdup(origin->dir);
    snapshot->key_file = xstrdup(origin->key_file);
    snapshot->boot_id = xstrdup(origin->boot_id);
    snapshot->server_version = xstrdup(origin->server_version);
    (void)pthread_mutex_init(&snapshot->mutex, NULL);
    snapshot->lock_fd = -1;
    atomic_init(&snapshot->lock_shown, -1);
    return snapshot;
}

struct snapshot *snapshot_free(struct snapshot *snapshot) {
    if (!snapshot)
        return NULL;
    snapdir_unlock(snapshot->dir, snapshot->boot_id, &snapshot->lock_fd);
    (void)pthread_mutex_destroy(&snapshot->mutex);
    free(snapshot->dir);
    free(snapshot->key_file);
    free(snapshot->boot_id);
    free(snapshot->server_version);
    free(snapshot);
    return NULL;
}

int snapshot_lock_fd(const struct snapshot *snapshot) {
    return atomic_load(&((struct snapshot *)(uintptr_t)snapshot)->lock_shown);
}

int snapshot_adopt(struct snapshot *snapshot, int lock_fd, struct theseus_error *err) {
    if (!snap_is_boot_id(snapshot->boot_id) || !snapdir_is_lock(snapshot->dir, snapshot->boot_id, lock_fd))
        return fail(err, ERR_INVALID, "descriptor %d is not the lock of this server's snapshots in '%s'", lock_fd,
                    snapshot->dir);
    if (flock(lock_fd, LOCK_EX | LOCK_NB) < 0 || fcntl(lock_fd, F_SETFD, FD_CLOEXEC) < 0)
        return fail_errno(err, "cannot go on with the lock of the snapshots in '%s'", snapshot->dir);
    snapshot->lock_fd = lock_fd;
    atomic_store(&snapshot->lock_shown, lock_fd);
    return 0;
}

int snapshot_hold(struct snapshot *snapshot, struct theseus_error *err) {
    if (snapshot->lock_fd >= 0)
        return 0;
    if (!snap_is_boot_id(snapshot->boot_id))
        return fail(err, ERR_INVALID, "'%s' cannot be a boot id: letters, digits, '-' and '_', at most %d",
                    snapshot->boot_id, SEAL_TEXT_BYTES - 1);
    int r = snapdir_lock(snapshot->dir, snapshot->boot_id, &snapshot->lock_fd, err);
    atomic_store(&snapshot->lock_shown, snapshot->lock_fd);
    return r;
}

static int take_up_held(struct snapshot *snapshot, struct theseus_error *err) {
    CLEANUP(snap_list_fini) struct snap_list own = {0};
    int r = snapdir_list(snapshot->dir, snapshot->boot_id, &own, err);

    if (r < 0)
        return -1;
    if (r != 0 || own.count == 0)
        return SNAPSHOT_NONE;
    return snapshot_hold(snapshot, err);
}

int snapshot_take_up(struct snapshot *snapshot, struct theseus_error *err) {
    (void)pthread_mutex_lock(&snapshot->mutex);
    int r = take_up_held(snapshot, err);
    (void)pthread_mutex_unlock(&snapshot->mutex);
    return r;
}

struct snap snapshot_snap(const struct snapshot *snapshot, uint32_t serial, uint32_t claims) {
    struct snap snap = {.serial = serial, .claims = claims};

    (void)snprintf(snap.boot_id, sizeof(snap.boot_id), "%s", snapshot->boot_id);
    return snap;
}

static int seal_into(const struct snapshot *snapshot, const struct seal_key *key, struct span content, uint64_t records,
                     int fd, struct theseus_error *err) {
    struct seal_info info = {.created_ms = clock_wall_ms(), .records = records};

    (void)snprintf(info.boot_id, sizeof(info.boot_id), "%s", snapshot->boot_id);
    (void)snprintf(info.server_version, sizeof(info.server_version), "%s", snapshot->server_version);
    if (seal_write(key, &info, content, fd, err) < 0)
        return -1;
    return fsync(fd) < 0 ? fail_errno(err, "cannot sync it") : 0;
}

/* The draft, complete and synced; or no draft. */
static int write_draft(const struct snapshot *snapshot, const struct snap *draft, struct span content, uint64_t records,
                       struct theseus_error *err) {
    CLEANUP(seal_key_fini) struct seal_key key = {0};
    CLEANUP(free) char *path = snapdir_path(snapshot->dir, draft);

    if (seal_key_make(snapshot->key_file, &key, err) < 0)
        return -1;
    (void)unlink(path); /* of an earlier image of this process */
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(err, "cannot make the snapshot '%s'", path);
    if (seal_into(snapshot, &key, content, records, fd, err) == 0)
        return 0;
    (void)unlink(path);
    return error_prefix(err, "snapshot '%s': ", path);
}

/* The youngest is on disk: what it replaces goes, the claimed one first of all. */
static void drop_replaced(const struct snapshot *snapshot, const struct snap_list *own) {
    int kept = 1;

    for (size_t i = 0; i < own->count; i++) {
        const struct snap *snap = &own->snaps[i];
        if (snap->state == SNAP_DRAFT || (snap->state == SNAP_GOOD && (snap->serial == 0 || kept++ >= SNAPSHOT_KEPT)))
            snapdir_remove(snapshot->dir, snap);
    }
}

static uint32_t next_serial(const struct snap_list *own) {
    uint32_t highest = 0;

    for (size_t i = 0; i < own->count; i++)
        if (own->snaps[i].serial > highest)
            highest = own->snaps[i].serial;
    return highest + 1;
}

static int write_held(struct snapshot *snapshot, struct span content, uint64_t records, struct theseus_error *err) {
    CLEANUP(snap_list_fini) struct snap_list own = {0};

    if (content.len > SNAPSHOT_MAX_BYTES)
        return fail(err, ERR_LIMIT, "a snapshot of %zu bytes is larger than the %d that are allowed", content.len,
                    SNAPSHOT_MAX_BYTES);
    if (fs_make_private_dir(snapshot->dir, err) < 0 || snapshot_hold(snapshot, err) < 0)
        return -1;
    if (snapdir_list(snapshot->dir, snapshot->boot_id, &own, err) != 0)
        return fail(err, ERR_SYSTEM, "the directory '%s' was removed", snapshot->dir);
    const struct snap next = snapshot_snap(snapshot, next_serial(&own), 0);
    struct snap draft = next;
    draft.state = SNAP_DRAFT;
    if (write_draft(snapshot, &draft, content, records, err) < 0)
        return -1;
    if (snapdir_rename(snapshot->dir, &draft, &next, err) < 0) {
        snapdir_remove(snapshot->dir, &draft);
        return -1;
    }
    if (snapdir_sync(snapshot->dir, err) < 0)
        return -1;
    drop_replaced(snapshot, &own);
    return 0;
}

int snapshot_write(struct snapshot *snapshot, struct span content, uint64_t records, struct theseus_error *err) {
    (void)pthread_mutex_lock(&snapshot->mutex);
    int r = write_held(snapshot, content, records, err);
    (void)pthread_mutex_unlock(&snapshot->mutex);
    return r;
}

/* The file tells, also of those that an earlier image of this process has written. */
static int64_t youngest_ms(const struct snapshot *snapshot) {
    CLEANUP(snap_list_fini) struct snap_list own = {0};
    struct theseus_error err = {0};
    int64_t youngest = -1;

    if (snapdir_list(snapshot->dir, snapshot->boot_id, &own, &err) != 0)
        return -1; /* there is no such directory, or it cannot be read: writing says so */
    for (size_t i = 0; i < own.count; i++) {
        CLEANUP(free) char *path = snapdir_path(snapshot->dir, &own.snaps[i]);
        struct stat st;
        if (own.snaps[i].state != SNAP_GOOD || own.snaps[i].serial == 0 || stat(path, &st) < 0)
            continue;
        int64_t at = st.st_mtim.tv_sec * INT64_C(1000) + st.st_mtim.tv_nsec / 1000000;
        if (at > youngest)
            youngest = at;
    }
    return youngest;
}

int64_t snapshot_last_ms(struct snapshot *snapshot) {
    (void)pthread_mutex_lock(&snapshot->mutex);
    int64_t at = youngest_ms(snapshot);
    (void)pthread_mutex_unlock(&snapshot->mutex);
    return at;
}

typedef int each_fn(const char *dir, const struct snap *snap, struct theseus_error *err);

static int each_own(struct snapshot *snapshot, bool claimed_only, each_fn *each, struct theseus_error *err) {
    CLEANUP(snap_list_fini) struct snap_list own = {0};

    (void)pthread_mutex_lock(&snapshot->mutex);
    int r = snapshot->lock_fd < 0 ? 0 : snapdir_list(snapshot->dir, snapshot->boot_id, &own, err);
    for (size_t i = 0; i < own.count && r == 0; i++)
        if (own.snaps[i].state == SNAP_GOOD && (own.snaps[i].serial == 0 || !claimed_only))
            r = each(snapshot->dir, &own.snaps[i], err);
    if (r == 0 && own.count)
        r = snapdir_sync(snapshot->dir, err);
    (void)pthread_mutex_unlock(&snapshot->mutex);
    return r < 0 ? -1 : 0;
}

static int remove_one(const char *dir, const struct snap *snap, struct theseus_error *err) {
    CLEANUP(free) char *path = snapdir_path(dir, snap);

    return unlink(path) < 0 && errno != ENOENT ? fail_errno(err, "cannot remove the snapshot '%s'", path) : 0;
}

int snapshot_refuse(struct snapshot *snapshot, struct theseus_error *err) {
    return each_own(snapshot, true, snapdir_set_aside, err);
}

int snapshot_discard(struct snapshot *snapshot, struct theseus_error *err) {
    return each_own(snapshot, false, remove_one, err);
}

static bool is_due(const struct snap *snap, int64_t before_ms) {
    return snap->state == SNAP_DRAFT || (snap->state != SNAP_LOCK && snap->changed_ms < before_ms);
}

/* What a dead server left; the caller holds its lock. */
static int sweep_locked(const char *dir, const char *boot_id, int64_t before_ms, int *removed,
                        struct theseus_error *err) {
    CLEANUP(snap_list_fini) struct snap_list list = {0};

    if (snapdir_list(dir, boot_id, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < list.count; i++) {
        if (!is_due(&list.snaps[i], before_ms))
            continue;
        *removed += list.snaps[i].state != SNAP_DRAFT;
        snapdir_remove(dir, &list.snaps[i]);
    }
    return 0;
}

static int sweep_boot(const char *dir, const char *boot_id, int64_t before_ms, int *removed,
                      struct theseus_error *err) {
    int lock_fd = -1;
    int r = snapdir_try_lock(dir, boot_id, &lock_fd, err);

    if (r == 0)
        r = sweep_locked(dir, boot_id, before_ms, removed, err);
    snapdir_unlock(dir, boot_id, &lock_fd);
    return r < 0 ? -1 : 0;
}

/* A server's lock is touched only where something is to go: to a claimer at that moment it would seem to live. */
static bool is_reason(const struct snap_list *all, size_t index, int64_t before_ms) {
    const struct snap *snap = &all->snaps[index];

    if (snap->state != SNAP_LOCK)
        return is_due(snap, before_ms);
    for (size_t i = 0; i < all->count; i++)
        if (i != index && strcmp(all->snaps[i].boot_id, snap->boot_id) == 0)
            return false;
    return true; /* a lock, and nothing that it would be for */
}

int snapshot_sweep(struct snapshot *snapshot, int64_t max_age_ms, int *ret_removed, struct theseus_error *err) {
    CLEANUP(snap_list_fini) struct snap_list all = {0};
    const int64_t before_ms = clock_wall_ms() - max_age_ms;
    int removed = 0;

    if (snapdir_list(snapshot->dir, NULL, &all, err) < 0)
        return -1;
    for (size_t i = 0; i < all.count; i++) {
        const char *boot_id = all.snaps[i].boot_id;
        if (strcmp(boot_id, snapshot->boot_id) != 0 && is_reason(&all, i, before_ms) &&
            sweep_boot(snapshot->dir, boot_id, before_ms, &removed, err) < 0)
            return -1;
    }
    *ret_removed = removed;
    return 0;
}
