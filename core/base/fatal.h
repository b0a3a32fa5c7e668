/*
 * How code of a plugin can end the process, and who is told: by the signals of a crash, by exit() and quick_exit(), or
 * by ending a thread of the server's that it runs on.
 *
 * Such code shares the handlers of the process, and the signal mask and the stack for handlers of its thread; what it
 * has changed of them, fatal_mend() puts back. A child that it has forked is none of ours: the functions here tell
 * nobody of what happens there. _exit() cannot be seen from within.
 *
 * A process has one end, so this is state of the process.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "base/crash_note.h"

/* On the stack for handlers, with everything blocked but the signals of crashes. */
typedef void fatal_signal_fn(int signum, siginfo_t *info, void *context);
/* Not in a handler, and does not return. `status`: of exit(), else 0. */
typedef void fatal_end_fn(enum crash_call call, int status);

struct fatal_spec {
    fatal_signal_fn *on_signal;
    fatal_end_fn *on_end;
    bool outlives_exit;     /* exit() and quick_exit() are told, too */
    bool (*is_whole)(void); /* NULL: nothing else is asked of the process */
};

/* Any thread; the specification is copied. */
void fatal_handle(const struct fatal_spec *spec);
void fatal_unhandle(void); /* signals have the handlers of before; harmless when nobody handles them */

/* Takes the signals of crashes out of a set of those that are to be blocked. */
void fatal_except(sigset_t *set);
/* The calling thread's stack for handlers from here on; NULL: it has none. */
void fatal_use_stack(const stack_t *stack);

/* What somebody had changed. */
struct fatal_mended {
    int signum;          /* one that had another handler, or none; 0: none had */
    const void *handler; /* NULL: it was set to be ignored, or to its default */
    bool blocked, stack; /* of this thread */
    bool broken;         /* is_whole() says no; that is not mended */
};

/* Puts back what was changed. False: nothing was. A dozen system calls; any thread, not in a handler. */
bool fatal_mend(struct fatal_mended *ret_mended);

/* The calling thread is ending. If it does so within a plugin's code, which nobody expects, that is the end of more. */
void fatal_thread_ends(void);

/* Descriptors that the process cannot do without are gone. Not in a handler. */
_Noreturn void fatal_end_closed(void);

/* The end of a process that crashes. Async-signal-safe. */
_Noreturn void fatal_die(int signum);
