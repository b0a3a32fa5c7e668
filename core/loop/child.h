/*
 * A child process in a process group of its own, with a time limit. It gets an empty signal mask, default dispositions
 * and no descriptors but 0, 1 and 2 (and the one that it is executed from).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/span.h"
#include "loop/loop.h"

struct child;

enum { CHILD_EXEC_FD = 3 }; /* the number under which a child has the descriptor that it is executed from */

/* For designated initialisers: {CHILD_SPEC_DEFAULTS, .path = …}. A zero would mean descriptor 0. */
#define CHILD_SPEC_DEFAULTS .exec_fd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1

/* There is more of the output that is collected: all of it so far. May not free the child. */
typedef void child_output_fn(void *arg, struct span output);

struct child_spec {
    int exec_fd;      /* >= 0: what this descriptor is open on is executed; else what is at `path` (no search) */
    const char *path; /* with exec_fd: only for messages */
    char *const *argv;
    char *const *envp;                  /* NULL: ours */
    int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null. They stay the caller's */
    int time_limit_ms;                  /* then the whole group is killed; 0: none */
    size_t max_output;                  /* > 0 and stdout_fd -1: its stdout is collected, up to so many bytes */
    child_output_fn *on_output;         /* NULL: the end is soon enough. With the argument of the child_fn */
};

struct child_result {
    int wait_status; /* as of waitpid() */
    bool timed_out;
    bool output_cut;    /* there was more */
    struct span output; /* until the callback returns */
};

/* Once, when it has ended. What it left behind in its process group has been killed. */
typedef void child_fn(void *arg, const struct child_result *result);

/* Everything in `spec` is only borrowed for the call. Fails also when the program cannot be executed. */
MUST_CHECK int child_start(struct child **ret_child, struct loop *loop, const struct child_spec *spec, child_fn *fn,
                           void *arg, struct theseus_error *err) ON_LOOP;
struct child *child_free(struct child *child) ON_LOOP; /* kills and reaps its group if it still runs */

/* The time limit begins anew. */
void child_restart_limit(struct child *child) ON_LOOP;

pid_t child_pid(const struct child *child) ON_LOOP; /* 0: it has ended */

DEFINE_LOOP_CLEANUP(struct child *, child_free)
