#include "loop/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include "base/mem.h"

enum { SPAWN_FDS = 4 }; /* 0, 1, 2 and CHILD_EXEC_FD */

struct spawn {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    int fds[SPAWN_FDS]; /* copies above the child's numbers, so that none overwrites another; -1: none */
};

static void spawn_fini_cleanup(struct spawn *spawn) {
    for (int i = 0; i < SPAWN_FDS; i++)
        if (spawn->fds[i] >= 0)
            (void)close(spawn->fds[i]);
    (void)posix_spawn_file_actions_destroy(&spawn->actions);
    (void)posix_spawnattr_destroy(&spawn->attributes);
}

static int copy_high(int fd, int *ret_copy, struct theseus_error *err) {
    CLEANUP(fd_close) int null = fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0 && null < 0)
        return fail_errno(err, "cannot open '/dev/null' for a child process");
    int copy = fcntl(fd < 0 ? null : fd, F_DUPFD_CLOEXEC, SPAWN_FDS);
    if (copy < 0)
        return fail_errno(err, "cannot copy descriptor %d for a child process", fd);
    *ret_copy = copy;
    return 0;
}

static int spawn_copy_fds(struct spawn *spawn, const struct child_spec *spec, int stdout_fd,
                          struct theseus_error *err) {
    const int from[SPAWN_FDS] = {spec->stdin_fd, stdout_fd, spec->stderr_fd, spec->exec_fd};
    int count = spec->exec_fd < 0 ? CHILD_EXEC_FD : SPAWN_FDS;

    for (int i = 0; i < count; i++) {
        if (copy_high(from[i], &spawn->fds[i], err) < 0)
            return -1;
        if ((errno = posix_spawn_file_actions_adddup2(&spawn->actions, spawn->fds[i], i)) != 0)
            return fail_errno(err, "cannot prepare the descriptors of a child process");
    }
    if ((errno = posix_spawn_file_actions_addclosefrom_np(&spawn->actions, count)) != 0)
        return fail_errno(err, "cannot prepare the descriptors of a child process");
    return 0;
}

static void spawn_set_signals(struct spawn *spawn) {
    sigset_t none, all;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_setsigmask(&spawn->attributes, &none);
    (void)posix_spawnattr_setsigdefault(&spawn->attributes, &all);
    (void)posix_spawnattr_setpgroup(&spawn->attributes, 0);
    (void)posix_spawnattr_setflags(&spawn->attributes,
                                   POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

int spawn_process(const struct child_spec *spec, int stdout_fd, pid_t *ret_pid, struct theseus_error *err) {
    CLEANUP(spawn_fini) struct spawn spawn = {.fds = {-1, -1, -1, -1}};
    const char *path = spec->exec_fd >= 0 ? "/proc/self/fd/3" : spec->path; /* CHILD_EXEC_FD */
    pid_t pid;

    (void)posix_spawnattr_init(&spawn.attributes);
    (void)posix_spawn_file_actions_init(&spawn.actions);
    spawn_set_signals(&spawn);
    if (spawn_copy_fds(&spawn, spec, stdout_fd, err) < 0)
        return -1;
    errno = posix_spawn(&pid, path, &spawn.actions, &spawn.attributes, spec->argv, spec->envp ? spec->envp : environ);
    if (errno != 0)
        return fail_errno(err, "cannot execute '%s'", spec->path ? spec->path : path);
    *ret_pid = pid;
    return 0;
}
