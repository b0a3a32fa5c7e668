#include "child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { LEAVE_MS = 5000 };

extern char **environ;

/* The four ends of a channel, owned; with a socket pair two of each are one. */
struct channel {
    int to, from; /* ours */
    int in, out;  /* the server's descriptors 0 and 1 */
};

static void channel_fini_cleanup(struct channel *channel) {
    if (channel->to >= 0)
        (void)close(channel->to);
    if (channel->from >= 0 && channel->from != channel->to)
        (void)close(channel->from);
    if (channel->in >= 0)
        (void)close(channel->in);
    if (channel->out >= 0 && channel->out != channel->in)
        (void)close(channel->out);
}

static int open_pair(struct channel *channel, struct theseus_error *err) {
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return fail_errno(err, "cannot make a socket pair");
    *channel = (struct channel){.to = pair[0], .from = pair[0], .in = pair[1], .out = pair[1]};
    return 0;
}

static int open_pipes(struct channel *channel, struct theseus_error *err) {
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) < 0)
        return fail_errno(err, "cannot make a pipe");
    channel->in = in[0];
    channel->to = in[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return fail_errno(err, "cannot make a pipe");
    channel->from = out[0];
    channel->out = out[1];
    return fcntl(channel->to, F_SETFL, O_NONBLOCK) < 0 ? fail_errno(err, "cannot set up a pipe") : 0;
}

int child_start(struct child *ret_child, char *const argv[], bool socketpair, struct theseus_error *err) {
    CLEANUP(channel_fini) struct channel channel = {-1, -1, -1, -1};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int r;

    if ((socketpair ? open_pair(&channel, err) : open_pipes(&channel, err)) < 0)
        return -1;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, channel.in, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, channel.out, STDOUT_FILENO);
    r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (r != 0) {
        errno = r;
        return fail_errno(err, "cannot start '%s'", argv[0]);
    }
    *ret_child = (struct child){.pid = pid, .to = channel.to, .from = channel.from};
    channel.to = channel.from = -1;
    return 0;
}

static void end_input(struct child *child) {
    if (child->to == child->from) {
        (void)shutdown(child->to, SHUT_WR);
        return;
    }
    (void)close(child->to);
    child->to = -1;
}

int child_stop(struct child *child, struct theseus_error *err) {
    int status;

    end_input(child);
    CLEANUP(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    if (poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, LEAVE_MS) != 1)
        return fail(err, ERR_TIMEOUT, "the server did not leave within %d ms after the end of its input", LEAVE_MS);
    if (waitpid(child->pid, &status, 0) < 0)
        return fail_errno(err, "cannot reap the server");
    child->pid = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(err, ERR_INTERNAL, "the server left with wait status %d", status);
    return 0;
}

void child_fini_cleanup(struct child *child) {
    if (child->pid > 0) {
        (void)kill(child->pid, SIGKILL);
        (void)waitpid(child->pid, NULL, 0);
    }
    if (child->to > 0)
        (void)close(child->to);
    if (child->from > 0 && child->from != child->to)
        (void)close(child->from);
}

int64_t child_cpu_ns(const struct child *child) {
    struct timespec used;
    clockid_t clock;

    if (clock_getcpuclockid(child->pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return -1;
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

/* Not from "status": since Linux 6.2 the number there may lag by some hundred kilobytes. */
long child_rss_kb(const struct child *child) {
    CLEANUP(free) char *path = xasprintf("/proc/%d/smaps_rollup", (int)child->pid);
    FILE *memory = fopen(path, "re");
    char line[256];
    long kb = -1;

    while (memory && fgets(line, sizeof(line), memory))
        if (strncmp(line, "Rss:", 4) == 0)
            kb = strtol(line + 4, NULL, 10);
    if (memory)
        (void)fclose(memory);
    return kb;
}

int child_fds(const struct child *child) {
    CLEANUP(free) char *path = xasprintf("/proc/%d/fd", (int)child->pid);
    DIR *dir = opendir(path);
    int count = 0;

    if (!dir)
        return -1;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}
