/*
 * Tells clients of the resources that they have subscribed to and that are another thing now.
 *
 * Whoever writes says nothing of what: a thread looks at what is watched when the database has changed, whichever
 * thread or process did that, and compares it with what it was when it was looked at last. While nothing is watched
 * there is nothing to do. What it knew is kept as the plugin's state, so that a change which falls into a restart, or
 * between two generations of the plugin, is told behind it.
 */
#pragma once

#include <stdbool.h>

struct tasks;
struct watch;

struct watch *watch_new(struct tasks *tasks); /* NULL: no memory */
struct watch *watch_free(struct watch *watch);

/* From now on, or no more. On the loop thread: it never blocks. */
void watch_set(struct watch *watch, const char *uri, bool on);
/* Around a commit of this process. The writer's thread. */
void watch_committing(struct watch *watch);
void watch_committed(struct watch *watch);
