/*
 * A thread that does one thing to every call that is queued for it, in their order: the filer brings large artifacts to
 * the disk before the writer sees their calls, the answerer answers what the writer has committed. It is there from the
 * first call on.
 */
#pragma once

#include "work.h"

struct queue;

typedef void queue_fn(struct work *work); /* on the queue's thread; takes `work` */

struct queue *queue_new(struct tasks *tasks, queue_fn *run);
struct queue *queue_free(struct queue *queue); /* what is queued is done first */

/* Takes a list of calls, linked by `next`. False: there is no thread for it (theseus_last_error), they stay the
 * caller's. */
bool queue_submit(struct queue *queue, struct work *works);
