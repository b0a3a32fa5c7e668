/* The plugin's state: one a generation. Everything that lasts is in the database. */
#pragma once

#include <stdatomic.h>

#include <theseus/plugin.h>

#include "active.h"
#include "session.h"

struct queue;
struct spares;
struct watch;
struct writer;

struct tasks {
    struct theseus_ctx *ctx;
    struct writer *writer;
    struct watch *watch;
    struct queue *filer, *answerer;
    struct spares *spares;
    /* of the writer's thread alone: */
    struct id_source ids;
    struct session_memo memo;
    struct active_memo active;
    /* settings: */
    atomic_bool is_full;           /* durability: is every commit on the disk before it is answered? */
    atomic_llong max_active;       /* 0: any number */
    atomic_llong archive_after_ms; /* 0: never */
};
