/*
 * The threads on which tools run that may block: a queue, first come, first served, in which those for whom there is
 * work take turns; who wants much waits behind who wants little. A thread is made when work is waiting and none is
 * idle, up to the number; a server that is only probed makes none.
 *
 * Urgent work goes before all other, and where every thread is busy one more is made for it, which leaves again; and
 * another one while that is busy. So a piece of it waits for nothing, though one other may take long.
 */
#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "loop/loop.h"
#include "loop/thread.h"

struct workers;

/* Embedded in the caller's object, which it keeps until `run` was entered or workers_retract() said true. */
struct work {
    struct list link; /* private; starts as zeroes */
    uint64_t turn;    /* likewise */
    uint64_t whose;   /* for whom it is: a number */
    work_fn *run;     /* on a worker; gets the struct work, which may be freed meanwhile */
};

struct workers *workers_new(struct loop *loop, int count) ON_LOOP;

/* Waits for the jobs that are running. What is still queued never runs; it is its owner's as before. */
struct workers *workers_free(struct workers *workers) ON_LOOP;

void workers_submit(struct workers *workers, struct work *work);        /* any thread */
void workers_submit_urgent(struct workers *workers, struct work *work); /* any thread */
bool workers_retract(struct workers *workers, struct work *work); /* true: it was queued and will not run. Any thread */

/* Another number of threads (at least one). Those that are too many leave when they become idle. Any thread. */
void workers_resize(struct workers *workers, int count);

/*
 * So many threads will not come back from their job (or say so, should they): each of them gets another one in its
 * stead, as long as they are not more than there may be. Any thread.
 */
void workers_set_stuck(struct workers *workers, int stuck);

int workers_count(const struct workers *workers);  /* how many there may be; any thread, like the next two */
int workers_busy(const struct workers *workers);   /* threads inside a job */
int workers_queued(const struct workers *workers); /* jobs that wait for a thread */

DEFINE_LOOP_CLEANUP(struct workers *, workers_free)
