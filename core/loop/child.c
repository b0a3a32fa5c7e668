/*
 * The end of a child is the end of the process that was started, not of its output: a grandchild may hold the pipe for
 * ever. So what has been written until then is read without waiting, and what remains of the process group is killed
 * while the zombie still keeps its number from being given to anybody else.
 */
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/pidfd.h"
#include "loop/poll.h"
#include "loop/spawn.h"
#include "loop/timer.h"

enum {
    CHILD_CHUNK = 16 << 10,
    CHILD_CHUNKS_PER_TURN = 4,
    CHILD_LAST_CHUNKS = 64, /* more than a pipe holds; somebody else may go on writing */
    CHILD_STATUS_UNKNOWN = 255 << 8,
};

struct child {
    pid_t pid; /* 0: ended and reaped, or never started */
    int exit_fd, output_fd;
    struct poll *exit, *output_poll;
    struct timer *limit;
    struct buf output;
    size_t max_output;
    int time_limit_ms;
    bool timed_out, output_cut;
    child_fn *fn;
    child_output_fn *on_output;
    void *arg;
};

static void child_kill(const struct child *child) {
    (void)kill(-child->pid, SIGKILL);
    (void)kill(child->pid, SIGKILL); /* it may have moved to another group */
}

/* Waits, but only for this one and only after its end or its SIGKILL. */
static int child_reap(struct child *child) {
    int status;
    pid_t r;

    do {
        r = waitpid(child->pid, &status, 0);
    } while (r < 0 && errno == EINTR);
    child->pid = 0;
    return r < 0 ? CHILD_STATUS_UNKNOWN : status; /* SIGCHLD is ignored here: the system reaped it unseen */
}

static void child_keep(struct child *child, struct span bytes) {
    size_t room = child->max_output - child->output.len;

    if (bytes.len > room) {
        child->output_cut = true;
        bytes.len = room;
    }
    if (buf_append(&child->output, bytes, NULL) < 0)
        child->output_cut = true;
}

/* True: there is nothing more, for ever. */
static bool child_read_chunks(struct child *child, int chunks) {
    char chunk[CHILD_CHUNK];

    while (chunks-- > 0) {
        ssize_t n = read(child->output_fd, chunk, sizeof(chunk));
        if (n <= 0)
            return n == 0 || (errno != EAGAIN && errno != EINTR);
        child_keep(child, (struct span){chunk, (size_t)n});
    }
    return false;
}

static bool child_read(struct child *child, int chunks) {
    size_t before = child->output.len;
    bool ended = child_read_chunks(child, chunks);

    if (child->on_output && child->output.len > before)
        child->on_output(child->arg, buf_span(&child->output));
    return ended;
}

static void child_on_output(void *arg, int events) {
    struct child *child = arg;

    (void)events;
    loop_enter();
    if (child_read(child, CHILD_CHUNKS_PER_TURN))
        poll_want(child->output_poll, 0);
}

static void child_release(struct child *child) ON_LOOP;

static void child_release(struct child *child) {
    child->exit = poll_free(child->exit);
    child->output_poll = poll_free(child->output_poll);
    child->limit = timer_free(child->limit);
    fd_close_cleanup(&child->exit_fd);
    fd_close_cleanup(&child->output_fd);
    child->exit_fd = child->output_fd = -1;
}

/* A loop that comes late finds the limit of a child that has ended before. */
static bool is_of_the_limit(int wait_status) {
    return wait_status == CHILD_STATUS_UNKNOWN || (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL);
}

static void child_on_exit(void *arg, int events) {
    struct child *child = arg;
    struct child_result result = {0};

    (void)events;
    loop_enter();
    child_kill(child);
    result.wait_status = child_reap(child);
    if (child->output_fd >= 0)
        (void)child_read_chunks(child, CHILD_LAST_CHUNKS);
    child_release(child);
    CLEANUP(buf_fini) struct buf output = child->output; /* outlives the child, which the callback may free */
    child->output = (struct buf){0};
    result.timed_out = child->timed_out && is_of_the_limit(result.wait_status);
    result.output_cut = child->output_cut;
    result.output = buf_span(&output);
    child->fn(child->arg, &result);
}

/* What it has said already may be a reason to let it go on. */
static void child_on_limit(void *arg) {
    struct child *child = arg;

    loop_enter();
    child->timed_out = true;
    if (child->output_fd >= 0)
        (void)child_read(child, CHILD_CHUNKS_PER_TURN);
    if (child->timed_out)
        child_kill(child);
}

void child_restart_limit(struct child *child) {
    child->timed_out = false;
    if (child->limit && child->time_limit_ms > 0)
        timer_start(child->limit, child->time_limit_ms, 0);
}

static int open_output(struct child *child, int *ret_write_fd, struct theseus_error *err) {
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return fail_errno(err, "cannot make a pipe for a child process");
    child->output_fd = fds[0];
    *ret_write_fd = fds[1];
    return fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? fail_errno(err, "cannot set up a pipe for a child process") : 0;
}

static int child_watch(struct child *child, struct loop *loop, struct theseus_error *err) ON_LOOP;

static int child_watch(struct child *child, struct loop *loop, struct theseus_error *err) {
    if (pidfd_new(child->pid, &child->exit_fd, err) < 0 ||
        poll_new(&child->exit, loop, child->exit_fd, child_on_exit, child, err) < 0)
        return -1;
    poll_want(child->exit, POLL_READ);
    if (child->output_fd >= 0) {
        if (poll_new(&child->output_poll, loop, child->output_fd, child_on_output, child, err) < 0)
            return -1;
        poll_want(child->output_poll, POLL_READ);
    }
    child->limit = timer_new(loop, child_on_limit, child);
    child_restart_limit(child);
    return 0;
}

int child_start(struct child **ret_child, struct loop *loop, const struct child_spec *spec, child_fn *fn, void *arg,
                struct theseus_error *err) {
    CLEANUP(child_free) struct child *child = xcalloc(1, sizeof(*child));
    CLEANUP(fd_close) int write_fd = -1;

    *child = (struct child){.exit_fd = -1,
                            .output_fd = -1,
                            .max_output = spec->max_output,
                            .time_limit_ms = spec->time_limit_ms,
                            .fn = fn,
                            .on_output = spec->on_output,
                            .arg = arg};
    if (spec->stdout_fd < 0 && spec->max_output > 0 && open_output(child, &write_fd, err) < 0)
        return -1;
    if (spawn_process(spec, write_fd >= 0 ? write_fd : spec->stdout_fd, &child->pid, err) < 0)
        return -1;
    if (child_watch(child, loop, err) < 0)
        return -1;
    *ret_child = TAKE_PTR(child);
    return 0;
}

struct child *child_free(struct child *child) {
    if (!child)
        return NULL;
    if (child->pid) {
        child_kill(child);
        (void)child_reap(child);
    }
    child_release(child);
    buf_fini(&child->output);
    free(child);
    return NULL;
}

pid_t child_pid(const struct child *child) {
    return child->pid;
}
