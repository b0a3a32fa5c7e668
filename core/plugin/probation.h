/*
 * Probation: an image is new until it has served for crash.probation seconds and has answered crash.probation_calls
 * calls. From then on it is known to be good, and is kept (shelf.h): it will serve again if a later one crashes.
 *
 * Both are counted across process images. What the ledger says of an image that serves is written here as well.
 */
#pragma once

#include <stdbool.h>

#include "base/thread.h"

struct generation;
struct plugin;
struct plugins;

/* This generation serves from here on; in the image before (`restored`) it may have served already. */
void probation_begin(struct plugins *plugins, struct generation *generation, bool restored) ON_LOOP;
/* Time has passed, calls have been answered, or the rules have changed. */
void probation_look(struct plugins *plugins) ON_LOOP;
void probation_fini(struct plugins *plugins) ON_LOOP;

/* Is it so new that it may not crash even once? */
bool probation_is_on(const struct plugins *plugins, const struct generation *generation) ON_LOOP;

/* Records the image that serves a plugin, with what is known of it. */
void probation_record(struct plugins *plugins, const struct plugin *plugin) ON_LOOP;
void probation_tools_changed(struct plugins *plugins) ON_LOOP; /* the same, of those whose tools are others by now */
