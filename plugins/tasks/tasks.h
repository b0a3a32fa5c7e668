/* The plugin's state: one a generation. Everything that lasts is in the database. */
#pragma once

#include <stdatomic.h>

#include <theseus/plugin.h>

#include "id.h"

struct writer;

struct tasks {
    struct theseus_ctx *ctx;
    struct writer *writer;
    struct id_source ids; /* the writer's thread alone */
    atomic_bool is_full;  /* durability: is every commit on the disk before it is answered? */
};
