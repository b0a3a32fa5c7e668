/*
 * What the plugin floor needs from the server, and the table of functions that plugins get (host.c). All borrowed;
 * lives as long as any generation.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <theseus/plugin.h>

#include "config/config.h"
#include "ledger/ledger.h"
#include "loop/lane.h"
#include "loop/workers.h"

struct call;
struct generation;
struct hangs;
struct plugin_crash;
struct plugin_fate;
struct plugins;
struct registry;
struct run;
struct run_pause;
struct state;
struct store;

struct plugin_host {
    struct loop *loop;
    pthread_t loop_thread;
    struct ledger *ledger;
    struct workers *workers;
    struct lane *lane;
    struct store *store;
    struct registry *registry;
    struct state *state;
    const struct config *const *config; /* the present one; loop */
    /* On the loop: the tool list may have changed outside of a reload (a plugin added or removed a tool). */
    void (*tools_touched)(void *arg);
    /* On the loop: no call runs on that generation any more, and somebody waits for that. */
    void (*idle)(void *arg, struct generation *generation);
    /*
     * theseus_control(): on the thread of the call, which is never the loop. New reference.
     */
    json_t *(*control)(void *arg, struct run *run, const char *verb, const json_t *args);
    /* Optional. On the loop: a plugin is about to be given this secret. What contains it may not reach a disk. */
    void (*secret)(void *arg, const char *plugin, const char *key, const json_t *value);
    /* Optional. On the loop: what is read under that URI is another thing now. */
    void (*resource_changed)(void *arg, const char *uri);
    /* Optional. On the loop: nothing is being loaded any more, or again. */
    void (*settled)(void *arg);
    /* Optional. On the loop: a plugin waits for a restart that migrates its schema. NULL: there can be none, so a
     * schema is migrated when the plugin is started. */
    void (*outdated)(void *arg);
    /* Optional. On the loop: threads are stuck, or are not any more; again and again while any worker is. */
    void (*stuck)(void *arg);
    /* Optional. Any thread: the loop's thread does not come back from a plugin's code. */
    void (*stalled)(void *arg);
    /* Optional. On the loop: why a call that a handler of an earlier image was at work on is not begun again. False:
     * for no other reason than that. */
    bool (*explains)(void *arg, const struct call *call, const char *tool, struct theseus_error *err);
    /* Optional. On the loop: what else there is to say to who calls a tool that is not there: it follows "unknown tool
     * 'x'". Owned. */
    char *(*misses)(void *arg, const struct call *call);
    /* Optional. Any thread: a client may not call that tool, or read that resource. */
    void (*refused)(void *arg, const struct call *call, const char *name, const char *why);
    /* Optional. On the loop: the process of an isolated plugin has come to an end of its own (fate.h). NULL: it is not
     * started again. */
    void (*crashed)(void *arg, const struct plugin_crash *crash, struct plugin_fate *ret_fate);
    void *arg;
    struct run_pause *pause; /* of struct plugins, which fills it in; NULL: nobody can pause */
    struct hangs *hangs;     /* the same; NULL: nobody watches handlers */
    bool rehearsal;          /* nothing is to happen outside of the process: `activate` is left out */
    atomic_bool leaving;     /* the server ends, and its children with it: that is no crash of theirs */
};

extern const struct theseus_host host_table;

/* Why the last host function on this thread failed: theseus_last_error(). */
void host_set_error(const struct theseus_error *err);
