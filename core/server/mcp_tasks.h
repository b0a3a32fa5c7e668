/*
 * The extension io.modelcontextprotocol/tasks: a call of a client that declared it is answered with a task when its
 * tool says that it takes long, or when it has run for tasks.promote_after; then it goes on, and the client asks for
 * it.
 *
 * A task is in the database before it is announced, so that it is found whatever becomes of the process: while that
 * lives, restarts included, the call goes on like any other. When it has ended, one other process that has the same
 * database takes the task over: it goes on with the call where that can be done, and else ends the task with the step
 * that it had reached. What it ended with is in the ledger from that moment on, and in the database soon afterwards.
 */
#pragma once

#include "base/thread.h"
#include "conn/clients.h"
#include "loop/loop.h"
#include "store/mcp_tasks.h"
#include "store/store.h"

struct mcp_tasks;
struct registry;

struct mcp_tasks_origin { /* everything is borrowed */
    struct loop *loop;
    struct ledger *ledger;
    struct store *store;
    struct registry *registry;
    const struct config *const *config;
    bool adopts; /* it serves for long enough to go on with what others have left */
    void (*changed)(void *arg, const char *id, json_t *task); /* borrowed: as tasks/get would tell it */
    struct conn *(*conn)(void *arg);                    /* whose calls those of others become; NULL: none is there */
    void (*wake)(void *arg);                            /* work is wanted: mcp_tasks_loaded() follows */
    bool (*may_be_stored)(void *arg, struct span text); /* any thread: does it contain no secret? */
    void *arg;
};

struct mcp_tasks *mcp_tasks_new(const struct mcp_tasks_origin *origin) ON_LOOP;
/* Their calls are over, or nobody ends them any more. */
struct mcp_tasks *mcp_tasks_free(struct mcp_tasks *tasks) ON_LOOP;

/* The call may become a task: `now`, or when it has run for long enough. */
void mcp_tasks_offer(struct mcp_tasks *tasks, struct conn *conn, struct call *call, bool now) ON_LOOP;
/* A call that goes on as a task is over: conn_ops::outcome. */
void mcp_tasks_outcome(struct mcp_tasks *tasks, struct call *call) ON_LOOP;

bool mcp_tasks_runs(struct mcp_tasks *tasks, const char *id) ON_LOOP;
/* Answer `call`, sooner or later, about the task `id`. */
void mcp_tasks_get(struct mcp_tasks *tasks, struct call *call, const char *id) ON_LOOP;
void mcp_tasks_cancel(struct mcp_tasks *tasks, struct call *call, const char *id) ON_LOOP;
void mcp_tasks_update(struct mcp_tasks *tasks, struct call *call, const char *id) ON_LOOP;

/* Behind a restart: takes up what the ledger has. The clients have been restored and are not started yet. */
void mcp_tasks_restore(struct mcp_tasks *tasks, struct clients *clients) ON_LOOP;

/* The plugins are there: tasks of processes that have ended are looked for, now and then from here on. */
void mcp_tasks_loaded(struct mcp_tasks *tasks) ON_LOOP;
/* The process leaves: calls that are tasks are let go, for another one to go on with. Nobody waits for their answers.
 */
void mcp_tasks_let_go(struct mcp_tasks *tasks) ON_LOOP;
/* What is on its way into the database gets there; turns the loop until then, or for so long. */
void mcp_tasks_finish(struct mcp_tasks *tasks, int timeout_ms) ON_LOOP;

bool mcp_tasks_is_stuck(const struct mcp_tasks *tasks) ON_LOOP; /* a thread does not come back from the database */

DEFINE_LOOP_CLEANUP(struct mcp_tasks *, mcp_tasks_free)
