/*
 * Threads that do not come back from a plugin's code.
 *
 * A worker is stuck when its call was given up (its time was over, or it was cancelled) and the handler has not
 * returned some seconds later; as long as somebody waits for the call it is busy, however long that takes. The thread
 * on which the slots run is stuck when a slot has not returned within its limit. Nothing short of another process image
 * ends such a thread; it can only be named, and replaced.
 *
 * A tool that runs on the loop's own thread and does not come back stops everything: that is told at once.
 */
#pragma once

#include <jansson.h>

#include "base/list.h"
#include "loop/loop.h"

struct hang;
struct hangs;
struct run;
struct workers;

/* A worker's stay in a handler; embedded in its run. */
struct stay {
    struct list link;
    int64_t given_up_ns; /* 0: its call is still wanted */
    struct hang *hang;   /* borrowed; NULL: it is not stuck */
};

/*
 * On the loop: as often as it was looked whether threads are stuck, while any is, and when the last one has come back.
 */
typedef void hangs_fn(void *arg);

struct hangs_spec {
    struct loop *loop;
    struct workers *workers;
    int64_t stuck_ms;
    hangs_fn *looked;
    hangs_fn *stalled; /* any thread: the loop's does not come back from a tool. NULL: that is not watched */
    void *arg;
};

struct hangs *hangs_new(const struct hangs_spec *spec) ON_LOOP;
void hangs_let_go(struct hangs *hangs) ON_LOOP;        /* before the workers go: nobody is told any more */
struct hangs *hangs_free(struct hangs *hangs) ON_LOOP; /* no handler is at work */

void hangs_watch(struct hangs *hangs) ON_LOOP; /* a run is given to a worker: from now on it is looked */
/* Around the handler, on its thread. `run` must live until it has left. */
void hangs_enter(struct hangs *hangs, struct run *run);
void hangs_leave(struct hangs *hangs, struct run *run);

/* The same for a handler on the loop's thread, which may stay so long. */
void hangs_enter_inline(struct hangs *hangs, int64_t limit_ms) ON_LOOP;
void hangs_leave_inline(struct hangs *hangs) ON_LOOP;

/* A slot is past its limit. hangs_slot_returned() ends it, also from NULL. */
struct hang *hangs_add_slot(struct hangs *hangs, const char *plugin, const char *slot) ON_LOOP;
void hangs_slot_returned(struct hangs *hangs, struct hang *hang) ON_LOOP;

/* A handler has answered a call that was still open. Has one, since the beginning? Any thread. */
void hangs_note_served(struct hangs *hangs);
bool hangs_have_served(const struct hangs *hangs);

int hangs_workers(const struct hangs *hangs) ON_LOOP; /* workers that are stuck */
/* [{plugin, tool | slot, stuck_s}]; new reference. */
json_t *hangs_report_new(const struct hangs *hangs) ON_LOOP;
/* "tool 'a' of plugin 'x', tool 'b' of plugin 'y'": of the workers. Owned. */
char *hangs_workers_text(const struct hangs *hangs) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct hangs *, hangs_free)
