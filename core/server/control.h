/*
 * theseus_control(): the services of the core, one row each. A plugin's thread asks and waits; a row has a half that
 * runs on that thread, where the database may be waited for, and one that runs on the loop, which has everything else.
 */
#pragma once

#include <jansson.h>

#include "base/thread.h"

struct run;
struct server;

struct control_row {
    const char *verb;
    /* Optional. On the asking thread: facts for the other half. New reference. */
    json_t *(*gather)(struct server *server, struct run *run, const json_t *args);
    /* On the loop. `facts` is borrowed, NULL where there is no `gather`. New reference; what the thread gets. NULL: nothing
     * is to be said (the call will be answered by the core). */
    json_t *(*answer)(struct server *server, struct run *run, const json_t *args, const json_t *facts);
};
