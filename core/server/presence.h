/*
 * The sign of a running server: a small file in the runtime directory that says which process it is, whom it serves and
 * how it is. Written a moment after something of it has changed, and now and then; by rename, so that a reader finds
 * all of it. One whose process is gone is not shown, and removed by whoever looks (signs.h).
 */
#pragma once

#include <jansson.h>

#include "base/mem.h"
#include "base/thread.h"
#include "loop/loop.h"

struct lane;
struct presence;

/* What it says, built anew each time; new reference. On the loop. */
typedef json_t *presence_describe_fn(void *arg);

/* `lane` is borrowed: it writes. Makes nothing before presence_begin(). */
struct presence *presence_new(struct loop *loop, struct lane *lane, const char *runtime_dir,
                              presence_describe_fn *describe, void *arg) ON_LOOP;
/* The file stays unless it was removed. The lane is gone. */
struct presence *presence_free(struct presence *presence) ON_LOOP;

/* There is real work. `is_new`: no image came before, and nobody has to know at once. */
void presence_begin(struct presence *presence, bool is_new) ON_LOOP;
void presence_touch(struct presence *presence) ON_LOOP;        /* something has changed */
void presence_touch_lazily(struct presence *presence) ON_LOOP; /* … of what changes often */
/* The same text for a collector of metrics, at `path`; NULL: not wanted. `render` turns the description into it. */
typedef char *presence_render_fn(const json_t *description);
void presence_also(struct presence *presence, const char *path, presence_render_fn *render) ON_LOOP;
void presence_end(struct presence *presence) ON_LOOP;    /* nothing is asked for, and said, any more; the file stays */
void presence_remove(struct presence *presence) ON_LOOP; /* the server leaves: no lane is needed */

DEFINE_LOOP_CLEANUP(struct presence *, presence_free)
