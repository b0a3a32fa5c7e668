/*
 * Child processes that an image before has left.
 *
 * One that a call had started is ended with its group (SIGTERM, and SIGKILL for what is still there a second later) and
 * reaped before its call is answered or run again. Other calls do not wait for that. One of the server's own, which
 * tried out a plugin or a candidate, is killed; one that writes a core is left in peace, however many images come and
 * go meanwhile. Any other one is reaped when it ends, since nobody else will.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "call/call.h"
#include "ledger/ledger.h"

struct children;

/* A call whose children have all ended. */
typedef void children_ended_fn(void *arg, const struct call_key *key);

/* Begins with all that there are; the records go when they have ended. `core_pid` writes a core; 0: none does. */
struct children *children_new(struct ledger *ledger, struct loop *loop, long core_pid, children_ended_fn *ended,
                              void *arg) ON_LOOP;
struct children *children_free(struct children *children) ON_LOOP; /* kills what is still there */

enum { CHILDREN_NONE, CHILDREN_ENDED, CHILDREN_ALIVE };
int children_of(const struct children *children, const struct call_key *key) ON_LOOP; /* what that call has, or had */

/* Does it run our own binary, to try out something for us? */
bool children_run_ours(pid_t pid);
bool children_writes_core(struct ledger *ledger, pid_t pid);

DEFINE_LOOP_CLEANUP(struct children *, children_free)
