/* A plugin: what is known under one name, whichever generation of it serves. */
#pragma once

#include "base/list.h"
#include "plugin/stats.h"

struct generation;
struct source;

struct plugin {
    char *name;                /* owned */
    struct generation *active; /* owned; NULL: none serves */
    struct list old;           /* generation::link, owned: draining, or quarantined */
    struct source *source;     /* the file that it is served from; borrowed; NULL: none */
    struct stats stats, swaps; /* of calls; of replacements */
    int64_t swap_ns;           /* the last one */
    struct list link;
};
