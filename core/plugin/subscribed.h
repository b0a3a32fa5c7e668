/*
 * Which resources clients have subscribed to, and which generation has been told of each: its slot `subscribed`. Loop
 * only.
 */
#pragma once

#include <jansson.h>

#include "base/mem.h"
#include "base/thread.h"

struct registry;
struct subscribed;

struct subscribed *subscribed_new(struct registry *registry);
struct subscribed *subscribed_free(struct subscribed *subscribed);

/* These are subscribed to as well: their plugins know it when this returns. `uris`: borrowed, an array; NULL: none. */
void subscribed_add(struct subscribed *subscribed, const json_t *uris) ON_LOOP;
/* The members of the object `uris` (stolen) are all that are; or other generations may serve them (NULL). */
void subscribed_settle(struct subscribed *subscribed, json_t *uris) ON_LOOP;

DEFINE_CLEANUP(struct subscribed *, subscribed_free)
