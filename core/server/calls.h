/* The tool calls in flight, and what a restart would do with each. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/thread.h"

struct call;
struct server;

struct calls {
    int count;
    bool suspendable; /* all of them go on, or may run again */
    json_t *list;     /* [{tool, plugin?, stage, what_happens, within_ms?}]; calls_fini() */
};

/* All but `asking` (NULL: all). */
void calls_look(struct server *server, const struct call *asking, struct calls *ret_calls) ON_LOOP;
void calls_fini(struct calls *calls);
void calls_fini_cleanup(struct calls *calls);
