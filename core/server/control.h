/*
 * theseus_control(): the services of the core, one row each. A plugin's thread asks and waits; a row has a half that
 * runs on that thread, where the database may be waited for, and one that runs on the loop, which has everything else.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/thread.h"

struct run;
struct server;

/* One question, on the loop. Good until it is answered. */
struct asked {
    struct server *server;
    struct run *run; /* who asks; gone as soon as the server ends (control_is_closed()) */
    const json_t *args;
    const json_t *facts; /* what `gather` gave; NULL where there is none */
    /* For `begin`: what it works with, and how that is freed when the question is over, answered or not. On the loop.
     */
    void *work;
    void (*end)(void *work);
};

struct control_row {
    const char *verb;
    /* Optional. On the asking thread: facts for the other half. New reference. */
    json_t *(*gather)(struct server *server, struct run *run, const json_t *args);
    /* On the loop. `facts` is borrowed, NULL where there is no `gather`. New reference; what the thread gets. */
    json_t *(*answer)(struct server *server, struct run *run, const json_t *args, const json_t *facts);
    /* In place of `answer`, for what takes more than a turn of the loop: control_answer() must follow, once, also when
     * the server ends meanwhile. */
    void (*begin)(struct asked *asked);
    /* NULL from `answer` is an answer: accepted, the core will answer that call itself. Else it is a lack of memory. */
    bool may_be_silent;
};

void control_answer(struct asked *asked, json_t *value) ON_LOOP; /* steals */
bool control_is_closed(const struct asked *asked) ON_LOOP;       /* nobody waits for the answer any more */

json_t *control_error_new(const char *text); /* {"error": text} */
