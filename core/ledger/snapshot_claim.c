/*
 * Claiming. The order of the steps is the whole of it: our lock, so that what we take is not an orphan for a moment;
 * then everything of the dead server that shall never be claimed; then the one rename.
 */
#include "ledger/snapshot_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

enum { UNDECIDED = SNAPSHOT_NONE + 1 };

void snapshot_found_fini(struct snapshot_found *found) {
    sealed_fini(&found->sealed);
}

void snapshot_found_fini_cleanup(struct snapshot_found *found) {
    snapshot_found_fini(found);
}

static int check_file(int fd, const char *path, struct theseus_error *err) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail_errno(err, "cannot examine it");
    if (st.st_uid != geteuid())
        return fail(err, ERR_ACCESS, "it belongs to another user (uid %u)", st.st_uid);
    if (st.st_mode & 077)
        return fail(err, ERR_ACCESS, "it is open to others; mend it with: chmod 600 '%s'", path);
    return 0;
}

static int read_snap(const char *path, const struct seal_key *key, struct sealed *ret_sealed,
                     struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 && errno == ELOOP)
        return fail(err, ERR_INVALID, "it is a symbolic link");
    if (fd < 0)
        return fail_errno(err, "cannot open it");
    return check_file(fd, path, err) < 0 ? -1 : seal_read(key, fd, SNAPSHOT_MAX_BYTES, ret_sealed, err);
}

/* Is `snap` good? One that is not is noted in `found` (SNAPSHOT_NONE), and so is one that the system would not read
 * now, which may be good (UNDECIDED). */
static int examine(const struct snapshot *snapshot, const struct snap *snap, const struct seal_key *key,
                   struct snapshot_found *found, struct theseus_error *err) {
    CLEANUP(free) char *path = snapdir_path(snapshot->dir, snap);
    struct theseus_error why = {0};
    int r = snap->claims >= SNAPSHOT_CLAIMS
                ? fail(&why, ERR_INVALID, "it was claimed %u times, and nobody who did has lived to write the next",
                       snap->claims)
                : read_snap(path, key, &found->sealed, &why);

    if (r == 0)
        return 0;
    (void)error_prefix(&why, "snapshot '%s': ", path_base(path));
    if (why.code == ERR_MEMORY) { /* it may be good: this is no time to decide */
        if (err)
            *err = why;
        return -1;
    }
    if (found->refused++ == 0)
        found->refusal = why;
    return why.code == ERR_SYSTEM ? UNDECIDED : SNAPSHOT_NONE;
}

/*
 * Makes `list[chosen]` ours. What is older is removed and what is younger set aside before, since afterwards it would
 * look like a whole snapshot that nobody has claimed.
 */
static int take(struct snapshot *snapshot, const struct snap_list *list, size_t chosen, struct theseus_error *err) {
    const struct snap ours = snapshot_snap(snapshot, 0, list->snaps[chosen].claims + 1);

    if (snapshot_hold(snapshot, err) < 0)
        return -1;
    for (size_t i = 0; i < list->count; i++) {
        const struct snap *snap = &list->snaps[i];
        if (snap->state == SNAP_DRAFT || (snap->state == SNAP_GOOD && i > chosen))
            snapdir_remove(snapshot->dir, snap);
        else if (snap->state == SNAP_GOOD && i < chosen && snapdir_set_aside(snapshot->dir, snap, err) < 0)
            return -1;
    }
    if (snapdir_sync(snapshot->dir, err) < 0 || snapdir_rename(snapshot->dir, &list->snaps[chosen], &ours, err) < 0)
        return -1;
    if (snapdir_sync(snapshot->dir, NULL) < 0) {
        /* Should the power go now the rename may be undone: the orphan is whole again, and we are gone as well. */
    }
    return 0;
}

/* The files of a server whose lock we hold. An older one is not taken in the place of one that may be good: what is
 * younger would then be set aside. */
static int claim_locked(struct snapshot *snapshot, const char *boot_id, const struct seal_key *key,
                        struct snapshot_found *found, struct theseus_error *err) {
    CLEANUP(snap_list_fini) struct snap_list list = {0};

    if (snapdir_list(snapshot->dir, boot_id, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < list.count; i++) {
        if (list.snaps[i].state != SNAP_GOOD)
            continue;
        int r = examine(snapshot, &list.snaps[i], key, found, err);
        if (r == 0)
            return take(snapshot, &list, i, err);
        if (r != SNAPSHOT_NONE)
            return r < 0 ? -1 : SNAPSHOT_NONE;
    }
    return SNAPSHOT_NONE;
}

static int claim_from(struct snapshot *snapshot, const char *boot_id, const struct seal_key *key,
                      struct snapshot_found *found, struct theseus_error *err) {
    int lock_fd = -1;
    int r = snapdir_try_lock(snapshot->dir, boot_id, &lock_fd, err);

    if (r != 0)
        return r < 0 ? -1 : SNAPSHOT_NONE; /* alive, or being claimed by somebody else */
    r = claim_locked(snapshot, boot_id, key, found, err);
    snapdir_unlock(snapshot->dir, boot_id, &lock_fd);
    return r;
}

/* Is it the youngest good one of its server? */
static bool is_youngest(const struct snap_list *list, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (list->snaps[i].state == SNAP_GOOD && strcmp(list->snaps[i].boot_id, list->snaps[index].boot_id) == 0)
            return false;
    return list->snaps[index].state == SNAP_GOOD;
}

/* The key is needed only where there is something to open. */
static int load_key(const struct snapshot *snapshot, const struct snap_list *all, struct seal_key *ret_key,
                    struct snapshot_found *found, struct theseus_error *err) {
    bool any = false;

    for (size_t i = 0; i < all->count; i++) {
        if (all->snaps[i].state == SNAP_GOOD && strcmp(all->snaps[i].boot_id, snapshot->boot_id) == 0)
            return SNAPSHOT_NONE;
        any = any || all->snaps[i].state == SNAP_GOOD;
    }
    if (!any)
        return SNAPSHOT_NONE;
    int r = seal_key_load(snapshot->key_file, ret_key, err);
    if (r == SEAL_KEY_MISSING) {
        found->refused++;
        (void)fail(&found->refusal, ERR_MISSING, "there are snapshots in '%s', but not their key, '%s'; put it back",
                   snapshot->dir, snapshot->key_file);
        return SNAPSHOT_NONE;
    }
    return r;
}

static int claim_held(struct snapshot *snapshot, struct snapshot_found *found, struct theseus_error *err) {
    CLEANUP(snap_list_fini) struct snap_list all = {0};
    CLEANUP(seal_key_fini) struct seal_key key = {0};

    int r = snapdir_list(snapshot->dir, NULL, &all, err);
    if (r != 0)
        return r < 0 ? -1 : SNAPSHOT_NONE;
    if (fs_make_private_dir(snapshot->dir, err) < 0) /* it exists: only its mode is looked at */
        return -1;
    r = load_key(snapshot, &all, &key, found, err);
    if (r != 0)
        return r;
    for (size_t i = 0; i < all.count; i++) {
        if (!is_youngest(&all, i))
            continue;
        r = claim_from(snapshot, all.snaps[i].boot_id, &key, found, err);
        if (r != SNAPSHOT_NONE)
            return r;
    }
    return SNAPSHOT_NONE;
}

int snapshot_claim(struct snapshot *snapshot, struct snapshot_found *ret_found, struct theseus_error *err) {
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};

    (void)pthread_mutex_lock(&snapshot->mutex);
    int r = claim_held(snapshot, &found, err);
    (void)pthread_mutex_unlock(&snapshot->mutex);
    if (r < 0)
        return -1;
    *ret_found = found;
    found = (struct snapshot_found){0};
    return r;
}
