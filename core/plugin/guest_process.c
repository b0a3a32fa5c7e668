#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "loop/child.h"
#include "loop/spawn.h"
#include "plugin/cord.h"
#include "plugin/guest_inner.h"

/* ---- the beginning ---- */

/* What a plugin that nobody vouches for may know of the environment: there may be secrets among the rest. */
static char **environment_new(void) {
    static const char *const names[] = {"HOME", "LANG", "LC_ALL",       "LC_CTYPE",     "LOGNAME",      "PATH",
                                        "TZ",   "USER", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};
    char **environment = xcalloc(ARRAY_SIZE(names) + 1, sizeof(*environment));
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);
        if (value)
            environment[count++] = xasprintf("%s=%s", names[i], value);
    }
    return environment;
}

static void environment_free_cleanup(char ***environment) {
    for (char **text = *environment; *text; text++)
        free(*text);
    free(*environment);
}

static int spawn(struct process *process, const struct guest_spec *spec, int cord, struct theseus_error *err) {
    CLEANUP(environment_free) char **environment = environment_new();
    CLEANUP(free) char *memory = xasprintf("%zu", spec->memory);
    const char *const words[] = {"theseus", "--host-plugin", spec->file, spec->hash, spec->dir ? spec->dir : "", memory,
                                 NULL};
    const struct child_spec child = {
        .exec_fd = spec->exe_fd,
        .path = "theseus --host-plugin",
        .argv = (char *const *)(uintptr_t)words, /* which are not written to */
        .envp = environment,
        .stdin_fd = cord,
        .stderr_fd = STDERR_FILENO,
    };

    return spawn_process(&child, STDERR_FILENO, &process->pid, err);
}

int process_start(struct process **ret_process, const struct guest_spec *spec, struct theseus_error *err) {
    CLEANUP(fd_close) int theirs = -1;
    int cord[2];

    if (spec->dir && fs_make_private_dir(spec->dir, err) < 0)
        return -1;
    if (cord_pair(cord, err) < 0)
        return -1;
    theirs = cord[1];
    struct process *process = xcalloc(1, sizeof(*process));
    atomic_init(&process->refs, 1);
    process->cord = cord[0];
    (void)pthread_mutex_init(&process->lock, NULL);
    (void)pthread_cond_init(&process->changed, NULL);
    list_init(&process->idle);
    if (spawn(process, spec, theirs, err) < 0) {
        process->ended = true;
        (void)process_unref(process);
        return -1;
    }
    *ret_process = process;
    return 0;
}

struct process *process_ref(struct process *process) {
    (void)atomic_fetch_add(&process->refs, 1);
    return process;
}

struct process *process_unref(struct process *process) {
    if (!process || atomic_fetch_sub(&process->refs, 1) > 1)
        return NULL;
    free(process->last_words);
    free(process->end_text);
    list_for_each (link, &process->idle)
        (void)channel_free(list_entry(link, struct channel, link));
    (void)close(process->cord);
    (void)pthread_cond_destroy(&process->changed);
    (void)pthread_mutex_destroy(&process->lock);
    free(process);
    return NULL;
}

/* ---- the end ---- */

/* Under the lock its number cannot become another's: whoever reaps it takes the lock for that. */
void process_kill(struct process *process, const char *why) {
    (void)pthread_mutex_lock(&process->lock);
    if (!process->killed_for && !process->reaped)
        process->killed_for = why;
    if (!process->reaped)
        (void)kill(process->pid, SIGKILL);
    (void)pthread_mutex_unlock(&process->lock);
}

void process_set_ended(struct process *process) {
    (void)pthread_mutex_lock(&process->lock);
    process->ended = true;
    (void)pthread_cond_broadcast(&process->changed);
    (void)pthread_mutex_unlock(&process->lock);
}

void process_reap(struct process *process) {
    siginfo_t info;
    int status = 0;

    (void)kill(process->pid, SIGKILL); /* it may have let go of the cord, and live on */
    while (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    (void)pthread_mutex_lock(&process->lock);
    while (waitpid(process->pid, &status, 0) < 0)
        if (errno != EINTR) {
            status = SIGKILL; /* a server that leaves has reaped it, after just that */
            break;
        }
    process->wait_status = status;
    process->reaped = true;
    (void)pthread_mutex_unlock(&process->lock);
}

bool process_has_ended(struct process *process) {
    (void)pthread_mutex_lock(&process->lock);
    bool ended = process->ended;
    (void)pthread_mutex_unlock(&process->lock);
    return ended;
}

void process_wait(struct process *process) {
    (void)pthread_mutex_lock(&process->lock);
    while (!process->ended)
        (void)pthread_cond_wait(&process->changed, &process->lock);
    (void)pthread_mutex_unlock(&process->lock);
}

bool process_asker_comes(struct process *process, int most) {
    (void)pthread_mutex_lock(&process->lock);
    bool comes = process->asking < most;
    process->asking += comes;
    (void)pthread_mutex_unlock(&process->lock);
    if (comes)
        (void)process_ref(process);
    return comes;
}

void process_asker_left(struct process *process) {
    (void)pthread_mutex_lock(&process->lock);
    process->asking--;
    (void)pthread_cond_broadcast(&process->changed);
    (void)pthread_mutex_unlock(&process->lock);
    (void)process_unref(process);
}

void process_settle(struct process *process, int limit_ms) {
    const struct timespec until = clock_in_ms(limit_ms);
    int r = 0;

    (void)pthread_mutex_lock(&process->lock);
    while (process->asking > 0 && r == 0)
        r = limit_ms > 0 ? pthread_cond_clockwait(&process->changed, &process->lock, CLOCK_MONOTONIC, &until)
                         : pthread_cond_wait(&process->changed, &process->lock);
    (void)pthread_mutex_unlock(&process->lock);
}

const char *process_signal_name(const struct process *process, char name[static 16]) {
    const char *abbreviation = WIFSIGNALED(process->wait_status) ? sigabbrev_np(WTERMSIG(process->wait_status)) : NULL;

    (void)snprintf(name, 16, "%s%s", abbreviation ? "SIG" : "", abbreviation ? abbreviation : "");
    return name;
}

/* One that was ending by itself when we ended it has its own end. */
bool process_was_killed(const struct process *process) {
    return process->killed_for && WIFSIGNALED(process->wait_status) && WTERMSIG(process->wait_status) == SIGKILL;
}

char *process_end_text(struct process *process) {
    char name[16];

    if (process_was_killed(process))
        return xasprintf("was ended, because %s", process->killed_for);
    if (WIFSIGNALED(process->wait_status))
        return xasprintf("crashed with %s", process_signal_name(process, name));
    return xasprintf("ended by itself (exit status %d)", WEXITSTATUS(process->wait_status));
}

/* ---- channels ---- */

int process_make_channel_now(struct process *process, struct channel **ret_channel) {
    CLEANUP(channel_free) struct channel *channel = NULL;
    CLEANUP(fd_close) int other = -1;

    if (channel_pair(&channel, &other, NULL) < 0 || cord_send_channel_now(process->cord, other) < 0)
        return -1;
    *ret_channel = TAKE_PTR(channel);
    return 0;
}

static int make_channel(struct process *process, struct channel **ret_channel, struct theseus_error *err) {
    CLEANUP(channel_free) struct channel *channel = NULL;
    CLEANUP(fd_close) int other = -1;

    if (channel_pair(&channel, &other, err) < 0 || cord_send_channel(process->cord, other, err) < 0)
        return -1;
    *ret_channel = TAKE_PTR(channel);
    return 0;
}

/* The one that was used last: the thread at its other end is still warm. */
int process_take_channel(struct process *process, struct channel **ret_channel, struct theseus_error *err) {
    (void)pthread_mutex_lock(&process->lock);
    struct channel *channel = list_empty(&process->idle) ? NULL : list_entry(process->idle.prev, struct channel, link);
    if (channel)
        list_remove(&channel->link);
    (void)pthread_mutex_unlock(&process->lock);
    if (!channel)
        return make_channel(process, ret_channel, err);
    *ret_channel = channel;
    return 0;
}

void process_put_channel(struct process *process, struct channel *channel) {
    (void)pthread_mutex_lock(&process->lock);
    list_append(&process->idle, &channel->link);
    (void)pthread_mutex_unlock(&process->lock);
}
