/*
 * A program that runs in a process group of its own, with a pipe at each end. It is watched without being reaped until
 * it is over: as long as its leader is not reaped, the group's number belongs to nobody else.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <theseus/error.h>

struct process_setup {
    const char *file;      /* what is executed */
    const char *directory; /* NULL: the server's */
    char *const *argv, *const *environment;
    bool has_input; /* else it reads /dev/null */
};

struct process {
    pid_t pid;                /* of the leader and of the group; 0: none */
    int input, output, error; /* our ends, non-blocking; -1: closed */
    int status;               /* once it is over, as of waitpid() */
    bool lost;                /* it is over, but somebody else reaped it */
};

#define PROCESS_NONE \
    { .input = -1, .output = -1, .error = -1 }

int process_start(struct process *process, const struct process_setup *setup, struct theseus_error *err);
bool process_is_over(const struct process *process);            /* the leader has ended; others of its group may run */
void process_signal(const struct process *process, int signal); /* to the whole group */
void process_reap(struct process *process);                     /* waits for the leader; sets `status` */
void process_close(int *fd);                                    /* one of our ends */
void process_fini(struct process *process);                     /* ends and reaps what still runs */
