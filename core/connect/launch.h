/*
 * Starts the server that listens, once, however many ask for it at the same moment: who gets the lock beside the socket
 * starts it, everybody else waits for the socket. The lock is held by a small process between us and the server, which
 * tells whether the server has come to serve, or what it said when it ended.
 */
#pragma once

#include "config/config.h"
#include "loop/loop.h"

struct launch;

/* The attempt is over. `failed` NULL: a server listens. */
typedef void launch_fn(void *arg, const char *failed);

/* `program` and `source` are borrowed; `socket` is where it will listen. */
struct launch *launch_new(struct loop *loop, const char *program, const struct config_source *source,
                          const char *socket, launch_fn *fn, void *arg) ON_LOOP;
struct launch *launch_free(struct launch *launch) ON_LOOP; /* a server that is being started goes on */

/* Begins an attempt, unless one runs. One that fails at once is told before it returns. False: somebody else is
 * starting a server, and nothing is told of that. */
bool launch_try(struct launch *launch) ON_LOOP;
bool launch_runs(const struct launch *launch) ON_LOOP;

/* The process in between: `theseus --launch SOCKET`; its standard input is the lock. Returns the exit status; what went
 * wrong is on its standard output. */
int launch_main(const char *program, const struct config_source *source, const char *socket);

DEFINE_LOOP_CLEANUP(struct launch *, launch_free)
