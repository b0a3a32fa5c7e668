/*
 * The last step of a restart with reason `error_recovery`: plugin files that were refused, and plugins that were taken
 * away for a crash, are tried again. The restart is complete, and answered, when that is over or its time is; what
 * still does not serve then is named.
 *
 * A plugin that crashes the server while it is tried is taken away as ever; the image behind that crash goes on with
 * the rest, and gives the answer.
 */
#pragma once

#include "base/thread.h"
#include "loop/loop.h"

struct server;
struct timer;

typedef void retrial_done_fn(struct server *server);

struct retrial {
    bool on;
    struct loop_task idle; /* nothing is being loaded any more */
    struct timer *limit;   /* owned */
    retrial_done_fn *done;
};

/* `forgives`: what was taken away may come again. Else only what was not looked at yet is waited for. */
void retrial_begin(struct server *server, bool forgives, retrial_done_fn *done) ON_LOOP;
void retrial_end(struct server *server) ON_LOOP; /* now, if it goes on: the server is leaving */
void retrial_fini(struct server *server) ON_LOOP;
