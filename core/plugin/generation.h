/*
 * One generation of a plugin: an image, what its `start` returned, and the tools that it offers. Generations of one
 * plugin live side by side while one replaces the other: calls that run pin theirs.
 */
#pragma once

#include <pthread.h>

#include <theseus/plugin.h>

#include "base/error.h"
#include "base/list.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "plugin/stats.h"

struct hang;
struct image;
struct plugin_host;
struct plugin;
struct plugins;
struct registry;

enum generation_state {
    GENERATION_NEW,
    GENERATION_ACTIVE,
    GENERATION_DRAINING,    /* replaced or removed; its last calls still run */
    GENERATION_QUARANTINED, /* over, but something keeps its image mapped */
};

struct generation {
    struct theseus_ctx ctx; /* what the plugin sees */
    const struct plugin_host *host;
    struct plugin *plugin; /* borrowed: of this name; NULL until it serves */
    unsigned number;
    struct image *image; /* owned */
    struct theseus_plugin slots;
    char *name, *version; /* owned copies: they outlive the image */
    int steps;            /* of its schema, that it knows */
    char *component;      /* owned: its name for its own statements; the generation before may still use its own */
    void *self;
    bool started;
    _Atomic(const char *) slot;  /* whose code the lane is in; NULL: in none of its slots */
    atomic_bool uses_store;      /* has asked for the database */
    atomic_bool awaits_schema;   /* whose tables are made when it first does … */
    pthread_mutex_t schema_lock; /* … by one thread */
    _Atomic(json_t *) config;    /* owned; replaced by configure, on the lane */
    json_t *past_configs;        /* array, owned: somebody may still be looking at one */
    json_t *saved;               /* owned; during start only */
    bool served;                 /* in the image before, so its schema was looked at then */
    int schema;                  /* steps of it that the database had at the test-load; -1: not known */
    bool outdated;               /* the database's schema is older than it needs, and not its start's to change */
    atomic_bool migrated;        /* its start has changed the database's schema */
    char *backup;                /* owned: the database before that; NULL: there was none. Set before `migrated` */
    enum generation_state state;
    struct plugins *plugins; /* borrowed: who loaded it */
    bool over, stopping;     /* retired; its stop is on the lane */
    bool stuck;              /* quarantined, because a thread did not come back from its code */
    int unloaded;            /* outcome of image_unload() */
    const char *quarantined; /* why; NULL: it is not */
    int64_t since_ns;        /* monotonic clock: when its image began to serve. Loop */
    bool good;               /* that is known to be good: see probation.c. Loop */
    bool keeping;            /* being put on the shelf as such. Loop */
    char *recorded_tools;    /* owned: as the ledger has them; NULL: it is not recorded yet. Loop */
    atomic_uint_fast64_t calls,
        calls_mark; /* that the image has answered; `proof` is posted when so many have been; 0: never */
    struct loop_task proof;
    char *trouble; /* owned: why its settings are not those of the configuration; NULL: they are. Loop */
    struct lane_job job;
    struct hang *hang; /* borrowed: its `stop` has not come back; NULL: it has */
    struct list link;  /* in plugin's `old` */

    /* under the registry's lock */
    struct list offers;   /* offer::link */
    atomic_bool offering; /* they are in the registry */
    bool changing;        /* its tools are being exchanged: see registry_begin_change() … */
    pthread_t changer;    /* … by this thread */
    struct list queued;   /* run::queue_link: wait for a worker, or for their turn */
    int pins;             /* runs that use it */
    bool notify;          /* post `idle` to idle_loop when the last pin goes */
    atomic_bool holding;  /* new calls wait: it is being replaced */
    struct loop_task idle;
    struct loop *idle_loop;

    /* new calls while it is being replaced; loop only */
    struct list held; /* run::held_link */

    pthread_mutex_t threads_lock;
    struct list threads; /* struct plugin_thread, owned */
    int next_thread;
};

/* Takes the image, which is loaded. */
struct generation *generation_new(const struct plugin_host *host, struct image *image, unsigned number);
/* The image must be unloaded or pinned; nothing may be offered any more. */
struct generation *generation_free(struct generation *generation);

void generation_count_call(struct generation *generation); /* it has been answered. Any thread, pinned */

bool generation_keeps_state(const struct generation *generation); /* a replacement must wait for its calls */

/* On the lane. The plugin's slots with their meaning; the message begins with the slot's name. */
MUST_CHECK int generation_start(struct generation *generation,
                                struct theseus_error *err); /* migrations, start, selftest */
json_t *generation_save(struct generation *generation);     /* NULL: it has nothing */
MUST_CHECK int generation_activate(struct generation *generation, struct theseus_error *err);
MUST_CHECK int generation_check(struct generation *generation, const json_t *config, struct theseus_error *err);
MUST_CHECK int generation_configure(struct generation *generation, json_t *config,
                                    struct theseus_error *err);                              /* steals */
void generation_subscribed(struct generation *generation, const char *uri, bool on) ON_LOOP; /* pinned */
void generation_stop(struct generation *generation); /* stop, then joins the threads that it made */

/* Threads of the plugin; any thread. The number, or -1. */
int generation_thread(struct generation *generation, theseus_thread_fn *run, void *arg, struct theseus_error *err);
void generation_thread_join(struct generation *generation, int number);
