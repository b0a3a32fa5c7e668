/* A signal as a callback on the loop. Several watches of one signal are all told. */
#pragma once

#include "loop/loop.h"

struct signal_watch;

typedef void signal_fn(void *arg, int signum);

/* `signum` is one that can be caught and is not a crash (SIGSEGV and the like): anything else is asserted against. */
struct signal_watch *signal_watch_new(struct loop *loop, int signum, signal_fn *fn, void *arg) ON_LOOP;
struct signal_watch *signal_watch_free(struct signal_watch *watch) ON_LOOP; /* the last one: the default again */

DEFINE_LOOP_CLEANUP(struct signal_watch *, signal_watch_free)
