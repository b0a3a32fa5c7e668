/* What the files of this folder share and nobody else sees: libuv's loop behind struct loop. */
#pragma once

#include <uv.h>

#include "base/list.h"
#include "base/thread.h"

struct loop;
struct uv_loop_s;

struct uv_loop_s *loop_uv(struct loop *loop);

/* Said by every callback of libuv's that leads to one of ours: loop_turn() reports whether there was any. */
void loop_noticed(struct uv_loop_s *uv) ON_LOOP;

/* lack.c */
struct lacks {
    uv_mutex_t lock;
    struct list all; /* lack::link, borrowed */
};
void lacks_init(struct lacks *lacks);
void lacks_fini(struct lacks *lacks);
struct lacks *loop_lacks(struct loop *loop); /* any thread */

/* How many polls this descriptor has: kept by poll.c. Good until the next one is asked for. */
unsigned *loop_polls(struct loop *loop, int fd) ON_LOOP;
