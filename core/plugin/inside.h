/*
 * The process of an isolated plugin, seen from inside: `theseus --host-plugin`, started by guest.c. It locks itself up
 * (sandbox.h), loads the one plugin, and gives it the same table of functions that the server's own process has; what
 * those do is asked of the server (channel.h).
 *
 * Threads: the first one waits for what the server sends over the control socket – the other end of a channel, on which
 * a thread of its own then serves, or the number of a tool that is gone – and ends the process when the server has
 * gone.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <theseus/plugin.h>

#include "base/blame.h"
#include "base/list.h"
#include "plugin/channel.h"

struct image;
struct store;

/* What `theseus --host-plugin FILE HASH DIR MEMORY` runs. Leaves the process itself. */
int inside_main(char *const *words);

/* A tool as its calls find it. */
struct inside_tool {
    struct list link;
    json_int_t id;
    int (*call)(struct theseus_call *call, void *self, const json_t *args);
    void *data;
    void (*release)(void *data);
    bool is_inline; /* its handler never blocks */
};

struct inside_thread {
    struct list link;
    int number;
    struct thread *thread; /* owned */
    theseus_thread_fn *run;
    void *arg;
    struct blame blame;
};

struct inside {
    struct theseus_ctx ctx;
    int control;
    int path_rules; /* sandbox_enter()'s */
    struct image *image;
    const struct theseus_plugin *slots;
    json_t *description; /* owned; NULL: `trouble` says why the plugin is not there */
    struct theseus_error trouble;
    void *self;
    bool started;
    _Atomic(json_t *) config; /* owned */
    json_t *past_configs;     /* owned: somebody may still be looking at one */
    json_t *saved;            /* owned; during start only */
    struct store *store;      /* owned; NULL: it has no directory to keep one in */
    atomic_uint turns;        /* requests of the server that were served; see serve() */
    atomic_bool told_short;   /* the server knows that there is hardly any memory left */

    pthread_mutex_t lock; /* of what follows */
    struct list tools;    /* inside_tool::link, owned */
    json_int_t next_tool;
    struct list threads; /* inside_thread::link, owned */
    int next_thread;
    struct list channels; /* channel::link, owned: of threads that the plugin made, while they ask nothing */
};

extern const struct theseus_host inside_host; /* inside_host.c */

/*
 * Asks the server, on the channel whose question this thread is serving, else on one of its own. A server that has gone
 * ends the process. -1: it refuses (err).
 */
MUST_CHECK int inside_ask(struct inside *inside, json_t *question, json_t **ret_answer, struct theseus_error *err);
/* -1: it cannot be said (err). */
MUST_CHECK int inside_tell(struct inside *inside, json_t *message, struct theseus_error *err);
/* The same, but it goes with the next message. Only on the thread that serves a call whose handler is about to return.
 */
MUST_CHECK int inside_tell_with_next(struct inside *inside, json_t *message, struct theseus_error *err);
void inside_begin_serving(struct inside *inside, int fd); /* a channel of the server's: takes it */
/* The same, while the server may ask back: `serve` as in struct channel_user. */
MUST_CHECK int inside_ask_back(struct inside *inside, json_t *question, const struct channel_user *user,
                               json_t **ret_answer, struct theseus_error *err);

/* The server asks; see guest_slots.c. */
json_t *inside_serve(void *arg, struct channel *channel, const char *verb, const json_t *message);
json_t *inside_run_call(struct inside *inside, const json_t *message); /* inside_call.c */
/* Whose code the thread is in; `call`: for which call, 0: for none. */
struct blame inside_blame(const struct inside *inside, const char *slot, json_int_t call);

/* inside_crash.c: from here on the server hears where the process crashes. */
void inside_crash_arm(int cord);

/* inside_tools.c */
void inside_tools_init(
    struct inside *inside); /* those of its tables: numbered from 0, the resources behind the tools */
MUST_CHECK int inside_tool_add(struct inside *inside, const struct theseus_tool *tool, struct theseus_error *err);
bool inside_tool_find(struct inside *inside, json_int_t id, struct inside_tool *ret_copy);
void inside_tool_release(struct inside *inside, json_int_t id);
json_t *inside_tool_new_description(const struct theseus_tool *tool);

/* Threads of the plugin; the number, or -1. */
int inside_thread(struct inside *inside, theseus_thread_fn *run, void *arg, struct theseus_error *err);
void inside_thread_join(struct inside *inside, int number); /* 0: all */
