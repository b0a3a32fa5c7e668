/* Things that are reported once they have been left alone for a while: each new touch begins the wait anew. */
#pragma once

#include <stdint.h>

#include "base/list.h"
#include "loop/loop.h"

struct settle;

/* Embedded in the caller's object. Starts as zeroes. */
struct settle_item {
    struct list link;
    int64_t due_ms;
};

typedef void settle_fn(void *arg, struct settle_item *item); /* the item has left the queue */

struct settle *settle_new(struct loop *loop, int64_t quiet_ms, settle_fn *fn, void *arg) ON_LOOP;
struct settle *settle_free(struct settle *settle) ON_LOOP;

void settle_set_quiet(struct settle *settle, int64_t quiet_ms) ON_LOOP; /* also for what waits: anew from here on */
void settle_touch(struct settle *settle, struct settle_item *item) ON_LOOP;
bool settle_has(const struct settle_item *item); /* it waits */
void settle_forget(struct settle_item *item);

DEFINE_LOOP_CLEANUP(struct settle *, settle_free)
