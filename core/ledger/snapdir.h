/*
 * The directory of snapshots: what lies in it, and who owns what.
 *
 *   BOOT.SERIAL.CLAIMS.snap            a snapshot of the server BOOT; SERIAL grows, 0 is one that it took over from
 *                                      another; CLAIMS counts how often it has been taken over since it was written
 *   BOOT.SERIAL.CLAIMS.snap.new        one that is being written
 *   BOOT.SERIAL.CLAIMS.snap.refused    one that was set aside
 *   BOOT.lock                          locked (flock) while the server BOOT lives
 *
 * What belongs to a BOOT whose lock is free, or is not there, is an orphan. Whoever looks into the files of another
 * BOOT holds that lock meanwhile. A lock file is removed only by its holder, so a lock counts only while the file is
 * still the one of that name. Used by snapshot.c only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "ledger/seal.h"

enum snap_state { SNAP_GOOD, SNAP_DRAFT, SNAP_REFUSED, SNAP_LOCK };

enum { SNAP_NAME_BYTES = SEAL_TEXT_BYTES + 48 };

struct snap {
    char boot_id[SEAL_TEXT_BYTES];
    uint32_t serial, claims;
    enum snap_state state;
    int64_t changed_ms;
};

/* Letters, digits, '-' and '_', and not too long for a name. */
bool snap_is_boot_id(const char *text);
void snap_name(const struct snap *snap, char name[static SNAP_NAME_BYTES]);

struct snap_list {
    struct snap *snaps; /* owned */
    size_t count;
};

void snap_list_fini(struct snap_list *list);
void snap_list_fini_cleanup(struct snap_list *list);

enum { SNAPDIR_NONE = 1, SNAPDIR_ALIVE = 1 }; /* outcomes of snapdir_list() and snapdir_try_lock() */

/*
 * Everything of `boot_id` in the directory at `dir`, the highest serial first; NULL: of everybody, the youngest first.
 * SNAPDIR_NONE: there is no such directory.
 */
MUST_CHECK int snapdir_list(const char *dir, const char *boot_id, struct snap_list *ret_list,
                            struct theseus_error *err);

/* The lock of a server that may be dead. SNAPDIR_ALIVE: it is not, or somebody else is looking after what it left. */
MUST_CHECK int snapdir_try_lock(const char *dir, const char *boot_id, int *ret_fd, struct theseus_error *err);

/* The own lock: waits for whoever looks at it at this moment. */
MUST_CHECK int snapdir_lock(const char *dir, const char *boot_id, int *ret_fd, struct theseus_error *err);

/* Is `fd` the file that is the lock of `boot_id` now? */
bool snapdir_is_lock(const char *dir, const char *boot_id, int fd);

/* Removes the lock file of one whose lock the caller holds, and closes it; *fd becomes -1. */
void snapdir_unlock(const char *dir, const char *boot_id, int *fd);

/* The files of `snap`; a failed removal is found again by the next who looks. */
char *snapdir_path(const char *dir, const struct snap *snap); /* owned */
void snapdir_remove(const char *dir, const struct snap *snap);
MUST_CHECK int snapdir_rename(const char *dir, const struct snap *from, const struct snap *to,
                              struct theseus_error *err);
MUST_CHECK int snapdir_set_aside(const char *dir, const struct snap *snap, struct theseus_error *err);
MUST_CHECK int snapdir_sync(const char *dir, struct theseus_error *err);
