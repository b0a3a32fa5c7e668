/*
 * A restart: this process becomes another image of the server, or the same one again, while its clients wait.
 *
 *     preparing → maintenance_mode → suspending_tasks → serializing_state → starting_process
 *         ═ exec ═ → loading_state → restoring_database → resuming_tasks → enabling_connections → complete
 *
 * Up to the exec any failure leaves everything as it was, and the call that asked is answered with the reason. Behind
 * it, the new image answers that call; until `complete` whatever goes wrong leads back to the old image.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/thread.h"
#include "server/phase.h"
#include "store/asker.h"

struct ledger;
struct run;
struct server;

enum { RESTART_TIMEOUT_MIN_S = 10, RESTART_TIMEOUT_MAX_S = 300 };

struct restart_request {
    const char *reason; /* one of restart_reasons */
    bool graceful, preserve_state;
    bool own;          /* the image that runs is executed again */
    const char *cause; /* for the history: why the server asks itself; NULL: somebody else does */
    int timeout_s;
    struct run *run; /* who asks and is answered; NULL: nobody (a signal, a changed file) */
    const struct asker *by;
};

/* Begins one. -1: it was refused at once, and nothing has happened. */
MUST_CHECK int restart_ask(struct server *server, const struct restart_request *request,
                           struct theseus_error *err) ON_LOOP;

bool restart_is_under_way(const struct server *server) ON_LOOP;
enum phase restart_phase(const struct server *server) ON_LOOP; /* PHASE_IDLE, COMPLETE or FAILED: none is under way */

/*
 * For a new image that cannot begin: notes why and goes back, before anything is undone or removed that the image
 * before goes on with. Returns if there is no way back. `ledger` NULL: it cannot be read.
 */
void arrival_give_up(struct ledger *ledger, const struct theseus_error *err);

/* The server leaves, whatever has become of a restart by then: who asked for it is answered. */
void restart_leave(struct server *server) ON_LOOP;

/* {phase, progress, message, started_at, estimated_completion, maintenance_mode, errors[]}; new reference. */
json_t *restart_status_new(const struct server *server) ON_LOOP;
