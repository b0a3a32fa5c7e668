/*
 * A thread set up like all of the server's: a stack of 1 MiB, an alternate stack for signal handlers (else an overflow
 * of the first kills the process), a name, and no signals but those that it causes itself.
 */
#pragma once

#include "base/error.h"

struct thread;

typedef void work_fn(void *job);

/* `name` is cut after 15 bytes. Any thread. */
MUST_CHECK int thread_start(struct thread **ret_thread, const char *name, work_fn *fn, void *arg,
                            struct theseus_error *err);

/* The same, without part in what of limits.memory is the core's own. */
MUST_CHECK int thread_start_for_plugin(struct thread **ret_thread, const char *name, work_fn *fn, void *arg,
                                       struct theseus_error *err);

/* For a thread that was not started here, such as the first one: an alternate stack that stays. */
MUST_CHECK int thread_give_signal_stack(struct theseus_error *err);
/*
 * Makes one ahead of its work, for who knows that it will be wanted in a moment: it comes up meanwhile, and the next
 * thread_start() takes it. Where none can be had there is none, and thread_start() makes its own.
 */
void thread_make_ahead(void);
void thread_drop_ahead(void); /* one that nobody took */

/* Both end the caller's ownership and return NULL. A detached thread is never waited for. Any thread. */
struct thread *thread_join(struct thread *thread);
struct thread *thread_detach(struct thread *thread);
