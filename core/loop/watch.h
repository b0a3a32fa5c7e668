/*
 * Files that come, change and go in directories. A directory may be missing, come later, be deleted, replaced, moved
 * away or reached through symbolic links. What the system does not tell (some mounts do not) is found by looking every
 * now and then.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "loop/loop.h"

struct watch;

/*
 * `name` has been left alone for the settling time: it is new, changed or gone. NULL: look at all of the directory (it
 * came or went, events were lost, or a change was found by looking). `dir` is as it was added; both last until the
 * callback returns.
 */
typedef void watch_fn(void *arg, const char *dir, const char *name);

/* Without the system's notification (none left) it goes on by looking only, and the log says so. */
struct watch *watch_new(struct loop *loop, int64_t settle_ms, watch_fn *fn, void *arg) ON_LOOP;
struct watch *watch_free(struct watch *watch) ON_LOOP;

/* What is in it now is not reported. Refused: a path that is no directory. Added before: no effect. */
MUST_CHECK int watch_add_dir(struct watch *watch, const char *path, struct theseus_error *err) ON_LOOP;
void watch_remove_dir(struct watch *watch, const char *path) ON_LOOP;

void watch_set_settle(struct watch *watch, int64_t settle_ms) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct watch *, watch_free)
