/* Watches the file that the server was started from: is it still the program that runs? */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "loop/loop.h"

struct watch_binary;

/* Another file stands at the path, complete as far as can be seen: it has been left alone for the settling time. */
typedef void watch_binary_fn(void *arg);

/*
 * `running` is the program that runs (struct binary has it). Only what happens from here on is told, once for each
 * change: a file that was tried and found bad is not tried again before it changes. The watch may be freed in `fn`.
 */
MUST_CHECK int watch_binary_new(struct watch_binary **ret_watch, struct loop *loop, const char *path,
                                const struct stat *running, int64_t settle_ms, watch_binary_fn *fn, void *arg,
                                struct theseus_error *err) ON_LOOP;
struct watch_binary *watch_binary_free(struct watch_binary *watch) ON_LOOP;

/* Looks now: for a new image, whose file may have changed again while it was on its way. Calls `fn` from here. */
void watch_binary_look(struct watch_binary *watch) ON_LOOP;

void watch_binary_set_settle(struct watch_binary *watch, int64_t settle_ms) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct watch_binary *, watch_binary_free)
