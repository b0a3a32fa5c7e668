/*
 * The sweep: every buffer.cleanup_interval, once the server is awake, what nobody needs any more goes: snapshots of
 * dead servers, private directories of dead processes, images that no plugin would go back to, old entries of the
 * history and the audit.
 */
#pragma once

#include "base/mem.h"
#include "base/thread.h"
#include "loop/loop.h"

struct chronicle;
struct imagedir;
struct lane;
struct snapshot;
struct sweep;

struct sweep_origin { /* everything is borrowed */
    struct loop *loop;
    struct lane *lane;
    struct snapshot *snapshot;
    struct chronicle *chronicle;
    const struct imagedir *imagedir;
    const char *state_dir; /* copied */
};

struct sweep *sweep_new(const struct sweep_origin *origin) ON_LOOP;
struct sweep *sweep_free(struct sweep *sweep) ON_LOOP; /* the lane is gone */

/* Begins, or goes on with another interval; the same one does not begin anew. Entries of the history are kept for
 * `keep_s` seconds, and `audit_lines` lines of the audit at most. */
void sweep_every(struct sweep *sweep, int seconds, int keep_s, int audit_lines) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct sweep *, sweep_free)
