/* What the files of the snapshot object share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "ledger/snapdir.h"
#include "ledger/snapshot.h"

struct snapshot {
    char *dir, *key_file, *boot_id, *server_version;
    pthread_mutex_t mutex; /* guards lock_fd and this server's files */
    int lock_fd;           /* -1: not taken yet */
    atomic_int lock_shown; /* the same, for who may not wait for a write */
};

/* Marks everything of this server as belonging to somebody who lives. With the mutex. */
MUST_CHECK int snapshot_hold(struct snapshot *snapshot, struct theseus_error *err);

/* A good one of this server. */
struct snap snapshot_snap(const struct snapshot *snapshot, uint32_t serial, uint32_t claims);
