/*
 * One further thread, on which jobs that must not overlap run one after another, each within a limit. A job that takes
 * longer keeps its thread, which is counted as stuck; the jobs behind it go on with a new one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/loop.h"
#include "loop/thread.h"

struct lane;
struct lane_runner;

/* Embedded in the caller's object, which it keeps until `done`, after a time-out until `late`. Starts as zeroes. */
struct lane_job {
    work_fn *run; /* on the lane; gets the struct lane_job */

    /* Exactly once, on the loop: `run` has returned, or has not within the limit. */
    void (*done)(struct lane_job *job, bool timed_out);

    /* Optional, on the loop: `run` has returned after all, after `done` said that it timed out. */
    void (*late)(struct lane_job *job);

    int64_t limit_ms; /* from when `run` begins; 0: none */

    struct lane *lane; /* from here on private */
    struct lane_runner *runner;
    struct loop_task returned;
    struct list link;
};

/* `name`: the thread's. `waits`: what is said where no thread can be had, such as "no snapshot is written"; borrowed.
 */
struct lane *lane_new(struct loop *loop, const char *name, const char *waits) ON_LOOP;

/*
 * Waits for the job that is running, as long as its limit allows; jobs behind it never run. A job whose `run` has still
 * not returned keeps using its memory: a process in which lane_stuck() is not 0 leaves by _exit().
 */
struct lane *lane_free(struct lane *lane) ON_LOOP;

void lane_submit(struct lane *lane, struct lane_job *job) ON_LOOP;
int lane_pending(const struct lane *lane) ON_LOOP; /* jobs that wait or run; stuck ones do not count */
int lane_stuck(const struct lane *lane) ON_LOOP;   /* threads that have not come back */

DEFINE_LOOP_CLEANUP(struct lane *, lane_free)
