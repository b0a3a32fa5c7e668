/* A descriptor that can be read or written. Level-triggered: said again in every turn while it is so and wanted. */
#pragma once

#include "base/error.h"
#include "loop/loop.h"

struct poll;

/* POLL_HANGUP: the other side writes no more; bytes of it may still be there to be read. */
enum { POLL_READ = 1, POLL_WRITE = 2, POLL_HANGUP = 4 };

typedef void poll_fn(void *arg, int events); /* those of the wanted ones that hold; never none */

/*
 * Wants nothing at first. The descriptor stays the caller's, who closes it after poll_free(); its flags (O_NONBLOCK)
 * are left as they are, because they may be shared with other processes. One descriptor may have several polls. A
 * descriptor that is always ready (a regular file, /dev/null) is served as such.
 *
 * Hang-up and errors are reported as whatever is wanted: the read or write that follows says which it is.
 */
MUST_CHECK int poll_new(struct poll **ret_poll, struct loop *loop, int fd, poll_fn *fn, void *arg,
                        struct theseus_error *err) ON_LOOP;
struct poll *poll_free(struct poll *poll) ON_LOOP;

void poll_want(struct poll *poll, int events) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct poll *, poll_free)
