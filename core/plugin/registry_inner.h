/* The registry's own struct, for the files that are parts of it: registry.c, registry_change.c, registry_list.c. */
#pragma once

#include <pthread.h>

#include "base/map.h"
#include "plugin/late.h"
#include "plugin/registry.h"

struct registry {
    pthread_mutex_t lock;
    pthread_cond_t changed;      /* somebody may go on who waits in registry_wait() */
    struct map *offers;          /* name → struct offer: what is listed, and what keeps its name free for itself */
    struct map *wanted;          /* names for which somebody was turned away → the registry */
    char **hidden;               /* owned, NULL-terminated; NULL: none */
    char **call, **deny, **hide; /* likewise: of [access] */
    struct late late;            /* so that a client with an old list is told what became of a tool */
    struct loop *loop;           /* borrowed: where `on_free` is posted; NULL: nobody asks */
    struct loop_task *on_free;
    bool freed; /* it was posted, and not taken up */
};

void registry_lock(struct registry *registry);
void registry_unlock(struct registry *registry);

/*
 * The last reference ends the offer, but not under the lock: what frees it may be the plugin's own code. `dead` gets
 * it, for registry_bury() after the lock; the generation must still be there then: pinned, or not yet stopped.
 */
void registry_unref_locked(struct offer *offer, struct list *dead);
void registry_bury(struct list *dead);

bool registry_hides_locked(const struct registry *registry, const char *name);
