#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ_END, WRITE_END };

/* The program's ends of the pipes. */
struct ends {
    int input, output, error;
};

/* Our end does not block; the other belongs to the program, which expects that it does. */
static int open_pipe(int *ret_ours, int *ret_theirs, int ours) {
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    *ret_ours = fds[ours];
    *ret_theirs = fds[!ours];
    return fcntl(fds[ours], F_SETFL, O_NONBLOCK);
}

static int open_ends(struct process *process, struct ends *ends, bool has_input, struct theseus_error *err) {
    int r;

    if (has_input)
        r = open_pipe(&process->input, &ends->input, WRITE_END);
    else
        r = ends->input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (r < 0 || open_pipe(&process->output, &ends->output, READ_END) < 0 ||
        open_pipe(&process->error, &ends->error, READ_END) < 0)
        return theseus_fail(err, "cannot open the pipes to the program: %s", strerror(errno));
    return 0;
}

/* Nothing of the server's goes along: no descriptor, no signal mask, no ignored signal. */
static int set_up(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, const struct ends *ends,
                  const char *directory) {
    sigset_t all, none;
    int r = 0;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    if (directory)
        r = posix_spawn_file_actions_addchdir_np(actions, directory);
    r = r ? r : posix_spawn_file_actions_adddup2(actions, ends->input, STDIN_FILENO);
    r = r ? r : posix_spawn_file_actions_adddup2(actions, ends->output, STDOUT_FILENO);
    r = r ? r : posix_spawn_file_actions_adddup2(actions, ends->error, STDERR_FILENO);
    r = r ? r : posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    r = r ? r : posix_spawnattr_setsigdefault(attributes, &all);
    r = r ? r : posix_spawnattr_setsigmask(attributes, &none);
    r = r ? r : posix_spawnattr_setpgroup(attributes, 0);
    return r ? r
             : posix_spawnattr_setflags(attributes,
                                        POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

static int spawn(pid_t *ret_pid, const struct process_setup *setup, const struct ends *ends) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int r;

    if ((r = posix_spawn_file_actions_init(&actions)) != 0)
        return r;
    if ((r = posix_spawnattr_init(&attributes)) == 0) {
        r = set_up(&actions, &attributes, ends, setup->directory);
        if (r == 0)
            r = posix_spawn(ret_pid, setup->file, &actions, &attributes, setup->argv, setup->environment);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

static int explain(int reason, const char *file, struct theseus_error *err) {
    if (reason == ENOEXEC)
        return theseus_fail(err, "'%.100s' is not a program; a script needs a first line such as #!/bin/sh", file);
    if (reason == ENOENT)
        return theseus_fail(err, "cannot start '%.100s': the interpreter that its first line names does not exist",
                            file);
    if (reason == E2BIG)
        return theseus_fail(err, "cannot start '%.100s': the arguments are too long; give much text as stdin", file);
    return theseus_fail(err, "cannot start '%.100s': %s", file, strerror(reason));
}

int process_start(struct process *process, const struct process_setup *setup, struct theseus_error *err) {
    struct ends ends = {-1, -1, -1};
    int r = open_ends(process, &ends, setup->has_input, err);

    if (r == 0) {
        r = spawn(&process->pid, setup, &ends);
        if (r != 0) {
            process->pid = 0;
            r = explain(r, setup->file, err);
        }
    }
    process_close(&ends.input);
    process_close(&ends.output);
    process_close(&ends.error);
    return r;
}

bool process_is_over(const struct process *process) {
    siginfo_t info = {0};

    while (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        if (errno != EINTR)
            return true; /* somebody else reaped it; there is nothing left to wait for */
    return info.si_pid != 0;
}

void process_signal(const struct process *process, int signal) {
    if (process->pid > 0)
        (void)kill(-process->pid, signal); /* nobody left in the group: as wanted */
}

void process_reap(struct process *process) {
    if (process->pid <= 0)
        return;
    pid_t r;
    do
        r = waitpid(process->pid, &process->status, 0);
    while (r < 0 && errno == EINTR);
    process->lost = r < 0;
    process->pid = 0;
}

void process_close(int *fd) {
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void process_fini(struct process *process) {
    process_signal(process, SIGKILL);
    process_reap(process);
    process_close(&process->input);
    process_close(&process->output);
    process_close(&process->error);
}
