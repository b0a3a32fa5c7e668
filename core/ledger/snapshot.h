/*
 * Snapshots: what a server brings back after the machine went down, sealed, on disk.
 *
 * Each server writes its own, named by its boot id, and keeps the five youngest. A lock that dies with the process says
 * whether the owner lives. What a dead one left is an orphan; a successor claims it by renaming the youngest that is
 * genuine to a name of its own, which is one step: whoever dies before it leaves an orphan as it was, whoever dies
 * after it leaves an orphan of his own. The claimed one is removed when the successor's own first snapshot is on disk.
 *
 * Nothing is opened, made or locked before the first write or claim. Any thread; one operation at a time, others wait.
 */
#pragma once

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"
#include "ledger/seal.h"

struct snapshot;

/* Outcome of snapshot_claim(): there is no orphan, or none that is good; and of snapshot_take_up(). */
enum { SNAPSHOT_NONE = 1 };

enum {
    SNAPSHOT_KEPT = 5,
    SNAPSHOT_CLAIMS = 5,            /* one that was claimed so often, and never outlived, is set aside */
    SNAPSHOT_MAX_BYTES = 256 << 20, /* of content */
};

struct snapshot_origin {
    const char *dir;      /* of the snapshots; its parent may be missing as well */
    const char *key_file; /* made when the first snapshot is written */
    const char *boot_id;  /* of the first image of this process: the same after each exec */
    const char *server_version;
};

struct snapshot *snapshot_new(const struct snapshot_origin *origin);
struct snapshot *snapshot_free(struct snapshot *snapshot); /* gives the lock back: what is there is an orphan */

/* For the exec: the lock is to stay open (clear its CLOEXEC), and the next image goes on with it. -1: none was taken.
 */
int snapshot_lock_fd(const struct snapshot *snapshot);                                            /* borrowed */
MUST_CHECK int snapshot_adopt(struct snapshot *snapshot, int lock_fd, struct theseus_error *err); /* takes it over */

/* For the process that goes on in the place of one that was killed, under its boot id: what that had written is ours,
 * and no orphan. SNAPSHOT_NONE: it had written nothing. */
MUST_CHECK int snapshot_take_up(struct snapshot *snapshot, struct theseus_error *err);

/* When it returns 0 the snapshot is on disk to stay. Otherwise what was there before is still there. Blocks. */
MUST_CHECK int snapshot_write(struct snapshot *snapshot, struct span content, uint64_t records,
                              struct theseus_error *err);

int64_t snapshot_last_ms(struct snapshot *snapshot); /* wall clock, of the last that is on disk; -1: none. Any thread */

struct snapshot_found {
    struct sealed sealed;         /* its info says who wrote it, and when */
    int refused;                  /* files that were passed over … */
    struct theseus_error refusal; /* … and why, for the first of them */
};

/*
 * Takes the youngest orphan, if this server has no snapshot of its own yet. Files that are truncated, changed, sealed
 * with another key or written by a newer version are passed over, and stay unless an older one of the same server is
 * taken instead; then they are set aside. `ret_found` is filled with 0 and with SNAPSHOT_NONE; free it with
 * snapshot_found_fini(). Blocks while it reads.
 */
MUST_CHECK int snapshot_claim(struct snapshot *snapshot, struct snapshot_found *ret_found, struct theseus_error *err);
void snapshot_found_fini(struct snapshot_found *found);
void snapshot_found_fini_cleanup(struct snapshot_found *found);

/* The claimed content turned out to be of no use: it is set aside, and nobody will claim it. */
MUST_CHECK int snapshot_refuse(struct snapshot *snapshot, struct theseus_error *err);

/* There is nothing to bring back (any more): removes this server's snapshots, the claimed one too. */
MUST_CHECK int snapshot_discard(struct snapshot *snapshot, struct theseus_error *err);

/*
 * Removes what dead servers left: at once what was half written, and what is older than `max_age_ms`. `ret_removed`
 * counts the snapshots among them.
 */
MUST_CHECK int snapshot_sweep(struct snapshot *snapshot, int64_t max_age_ms, int *ret_removed,
                              struct theseus_error *err);

DEFINE_CLEANUP(struct snapshot *, snapshot_free)
