#include "server/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/inherit.h"
#include "base/log.h"
#include "base/memlimit.h"

/* Whoever is inside leaves within microseconds of its own time; of everybody's time that may be much more, where the
 * machine has more to do than it can, or a cgroup lets nobody of us run. A thread that never leaves says so. */
enum { GATE_TIMEOUT_MS = 3000 };
enum { IS_BACK = 1, IS_TORN = 2, IS_CRASH = 4 }; /* what the last digit of the variable says */

extern char **environ;

static int set_inheritable(int fd, bool inheritable) {
    return fcntl(fd, F_SETFD, inheritable ? 0 : FD_CLOEXEC);
}

/* ---- what came along ---- */

/* Only descriptors that are really open: the variable may have been set by somebody else. One that is, is never lost.
 */
static int own(int fd) {
    return fd > STDERR_FILENO && (set_inheritable(fd, false) == 0 || errno != EBADF) ? fd : -1;
}

void handover_find(struct handover *ret_handover) {
    const char *text = getenv(HANDOVER_VARIABLE);
    int ledger_fd = -1, back_fd = -1;
    unsigned flags = 0;

    *ret_handover = (struct handover){.ledger_fd = -1, .back_fd = -1};
    if (text && sscanf(text, "%d:%d:%u", &ledger_fd, &back_fd, &flags) == 3)
        *ret_handover = (struct handover){.ledger_fd = own(ledger_fd),
                                          .back_fd = own(back_fd),
                                          .is_back = flags & IS_BACK,
                                          .is_crash = flags & IS_CRASH,
                                          .is_torn = flags & IS_TORN};
    (void)unsetenv(HANDOVER_VARIABLE);
}

int handover_keep(struct ledger *ledger, const char *name, int fd, struct theseus_error *err) {
    struct kept_record record = {.name = span_of(name), .fd = (uint64_t)fd};

    return ledger_put(ledger, &kept_kind, &record, err);
}

int handover_forget(struct ledger *ledger, const char *name, struct theseus_error *err) {
    struct kept_record record = {.name = span_of(name)};

    return ledger_drop(ledger, &kept_kind, &record, err);
}

static void take_fd(void *arg, const void *recorded) {
    *(int *)arg = (int)((const struct kept_record *)recorded)->fd;
}

int handover_take(struct ledger *ledger, const char *name) {
    struct kept_record record = {.name = span_of(name)};
    int fd = -1;

    if (!ledger_find(ledger, &kept_kind, &record, take_fd, &fd))
        return -1;
    return own(fd);
}

/* ---- the descriptors that the records name ---- */

typedef void fd_fn(void *arg, int fd);

struct fd_visit {
    fd_fn *fn;
    void *arg;
};

static void visit_kept(void *arg, const void *recorded) {
    const struct fd_visit *visit = arg;

    visit->fn(visit->arg, (int)((const struct kept_record *)recorded)->fd);
}

static void visit_conn(void *arg, const void *recorded) {
    const struct conn_record *record = recorded;
    const struct fd_visit *visit = arg;

    if (record->lost || record->fd_in > INT32_MAX)
        return; /* the streams are gone */
    visit->fn(visit->arg, (int)record->fd_in);
    if (record->fd_out != record->fd_in)
        visit->fn(visit->arg, (int)record->fd_out);
}

static void each_fd(struct ledger *ledger, fd_fn *fn, void *arg) {
    struct fd_visit visit = {fn, arg};

    ledger_each(ledger, &kept_kind, visit_kept, &visit);
    ledger_each(ledger, &conn_kind, visit_conn, &visit);
}

static void seal_one(void *arg, int fd) {
    (void)arg;
    (void)set_inheritable(fd, false); /* one that is not there any more is noticed by who takes it */
}

void handover_seal(struct ledger *ledger) {
    each_fd(ledger, seal_one, NULL);
}

/* ---- the exec ---- */

struct plan {
    struct ledger *ledger;
    char path[32], variable[64];
    char *const *argv;
    char **envp; /* owned, texts and all; but for the last one, which is `variable` */
    size_t env_count;
    bool is_crash;
    bool is_last_resort; /* there is nothing to go back to where this fails */
    int *fds;            /* owned */
    size_t count;
    int startup_ms;
};

static void count_one(void *arg, int fd) {
    (void)fd;
    ++*(size_t *)arg;
}

static void add_one(void *arg, int fd) {
    struct plan *plan = arg;

    plan->fds[plan->count++] = fd;
}

static void collect_fds(struct plan *plan, const struct plan_spec *spec) {
    size_t count = 2;

    if (spec->ledger && !spec->is_crash)
        each_fd(spec->ledger, count_one, &count);
    plan->fds = xcalloc(count, sizeof(int));
    if (spec->ledger && !spec->is_crash)
        each_fd(spec->ledger, add_one, plan);
    add_one(plan, spec->ledger_fd);
    if (spec->back_fd >= 0)
        add_one(plan, spec->back_fd);
}

/* Copies: whoever has put a text into the environment may take it back. */
static void make_environment(struct plan *plan) {
    while (environ[plan->env_count])
        plan->env_count++;
    plan->envp = xcalloc(plan->env_count + 2, sizeof(char *));
    for (size_t i = 0; i < plan->env_count; i++)
        plan->envp[i] = xstrdup(environ[i]);
    plan->envp[plan->env_count] = plan->variable;
}

int plan_new(struct plan **ret_plan, const struct plan_spec *spec, struct theseus_error *err) {
    CLEANUP(plan_free) struct plan *plan = xcalloc(1, sizeof(*plan));

    plan->ledger = spec->ledger;
    plan->argv = spec->argv;
    plan->startup_ms = spec->startup_ms;
    (void)snprintf(plan->path, sizeof(plan->path), "/proc/self/fd/%d", spec->exe_fd);
    (void)snprintf(plan->variable, sizeof(plan->variable), HANDOVER_VARIABLE "=%d:%d:%d", spec->ledger_fd,
                   spec->back_fd, (spec->is_back ? IS_BACK : 0) | (spec->is_crash ? IS_CRASH : 0));
    plan->is_crash = spec->is_crash;
    plan->is_last_resort = spec->is_crash || spec->is_back;
    collect_fds(plan, spec);
    make_environment(plan);
    for (size_t i = 0; i < plan->count; i++)
        if (fcntl(plan->fds[i], F_GETFD) < 0 && errno == EBADF)
            return fail_errno(err, "descriptor %d cannot be handed over", plan->fds[i]);
    *ret_plan = TAKE_PTR(plan);
    return 0;
}

struct plan *plan_free(struct plan *plan) {
    if (!plan)
        return NULL;
    for (size_t i = 0; i < plan->env_count; i++)
        free(plan->envp[i]);
    free(plan->envp);
    free(plan->fds);
    free(plan);
    return NULL;
}

static int inherit_all(const struct plan *plan, bool inheritable) {
    int r = 0;

    if (plan->is_crash)
        inherit_set(inheritable);

    for (size_t i = 0; i < plan->count; i++)
        if (set_inheritable(plan->fds[i], inheritable) < 0)
            r = -1;
    return r;
}

static void arm(int ms) {
    struct itimerval limit = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};

    (void)setitimer(ITIMER_REAL, &limit, NULL);
}

static int take_gate(const struct plan *plan) {
    return plan->ledger ? ledger_gate_take_for_exec(plan->ledger, GATE_TIMEOUT_MS) : GATE_TAKEN;
}

/* GATE_OWN: this thread was inside when it crashed. Nobody else is inside then, either. GATE_LATE: the one inside has
 * crashed, too, and waits for ever; where nothing else is left than the next image, that is what counts. */
static bool is_ours(const struct plan *plan, int taken) {
    return taken == GATE_TAKEN || taken == GATE_OWN || (taken == GATE_LATE && plan->is_last_resort);
}

/* After a crash not through the C library's function, around which a measured build has put locks. */
static void execute(const struct plan *plan) {
    if (plan->is_crash)
        (void)syscall(SYS_execve, plan->path, plan->argv, plan->envp); /* point of no return */
    else
        (void)execve(plan->path, plan->argv, plan->envp); /* likewise */
}

void plan_execute(struct plan *plan) {
    int taken = take_gate(plan);
    int saved = EBUSY;

    if (is_ours(plan, taken) && taken != GATE_TAKEN)
        plan->variable[strlen(plan->variable) - 1] |= IS_TORN; /* of a digit's code, the low bits are its value */
    if (is_ours(plan, taken)) {
        if (inherit_all(plan, true) == 0 || plan->is_last_resort) { /* one that is missing costs less than all */
            arm(plan->startup_ms);
            memlimit_lift();
            execute(plan);
            saved = errno;
            memlimit_restore();
            arm(0);
        } else {
            saved = errno;
        }
        (void)inherit_all(plan, false);
    }
    if (plan->ledger)
        ledger_gate_give_back(plan->ledger, taken);
    errno = saved;
}
