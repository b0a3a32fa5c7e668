/*
 * The loop: whatever the core does, it does on one thread, as callbacks. A turn serves what is ready (time,
 * descriptors, tasks posted by other threads) and ends with what was deferred to its end.
 *
 * Every object of this folder is freed with x_free() at any time on the loop thread, also inside its own callback; once
 * that has returned no callback of it comes any more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/thread.h"

struct loop;

typedef void loop_fn(void *arg);

/* Something to be run once, in memory of the caller's, who keeps it until it ran or was forgotten. Starts as zeroes. */
struct loop_task {
    loop_fn *run;
    void *arg;
    struct list link; /* private */
};

struct loop *loop_new(void); /* NULL: the system has no descriptors left; errno says so */

/*
 * Runs the tasks that are still queued and waits for handles that are being closed. No other thread may post any more,
 * and whatever was made on the loop must have been freed: that is asserted.
 */
struct loop *loop_free(struct loop *loop);

void loop_run(struct loop *loop) ON_LOOP;  /* until loop_stop(); returns at once when that was called before */
void loop_stop(struct loop *loop) ON_LOOP; /* the present turn is still finished */

/* At most one turn, which waits up to `timeout_ms` (negative: for ever). False: nothing happened. */
bool loop_turn(struct loop *loop, int timeout_ms) ON_LOOP;

int64_t loop_now_ms(const struct loop *loop); /* monotonic; as of the beginning of the turn */

/* Runs it on the loop thread, in the order of posting. Any thread. A task that is queued already stays where it is. */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);
void loop_post_task(struct loop *loop, struct loop_task *task);

/*
 * Runs the task once at the end of the present turn, after the callbacks of all its descriptors: answers that became
 * ready together can leave together. Already queued: no effect. A task is either posted or deferred, never both.
 */
void loop_defer(struct loop *loop, struct loop_task *task) ON_LOOP;

/* Takes a posted or deferred task out of its queue; harmless when it is in none. */
void loop_forget(struct loop *loop, struct loop_task *task) ON_LOOP;

/* DEFINE_CLEANUP for what is freed on the loop thread. */
#define DEFINE_LOOP_CLEANUP(type, function)               \
    static inline void function##_cleanup(type *object) { \
        loop_enter();                                     \
        if (*object)                                      \
            (void)function(*object);                      \
    }

DEFINE_LOOP_CLEANUP(struct loop *, loop_free)
