#include "server/wayback.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/blame.h"
#include "base/crash_trace.h"
#include "server/crash_left.h"
#include "server/handover.h"

static const int signals[] = {SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

/* Taken: a thread is on it, and executes the image before. Held: whether there is one is being decided. */
enum { WAY_CLOSED, WAY_OPEN, WAY_TAKEN, WAY_HELD };
enum { WAIT_US = 1000 };

static struct {
    struct plan *plan; /* owned */
    struct plan_spec spec;
    struct wayback_note *note; /* in the ledger, as is the next one */
    struct crash_note *crash_note;
    struct sigaction before[ARRAY_SIZE(signals)];
    atomic_int state; /* WAY_… */
    atomic_bool rang; /* an alarm came while it was held */
} way;

/* Calls that were held are at work before the restart is complete: of one that crashes the image before hears that. */
static void note_call(int signum, const siginfo_t *info) {
    const struct blame *blame = blame_current();

    if (!way.crash_note || !blame || blame->conn == 0)
        return;
    crash_trace_begin(way.crash_note, signum, info);
    memcpy(way.crash_note->magic, CRASH_MAGIC, sizeof(way.crash_note->magic));
}

/* Async-signal-safe. The first thread that comes goes; others that crash meanwhile wait for its exec. `info`: of the
 * signal of a crash, else NULL. */
static void go(int signum, const siginfo_t *info) {
    int state = WAY_OPEN;

    if (!atomic_compare_exchange_strong(&way.state, &state, WAY_TAKEN) &&
        !(state == WAY_HELD && atomic_compare_exchange_strong(&way.state, &state, WAY_TAKEN))) {
        if (state == WAY_TAKEN && way.spec.ledger)
            ledger_gate_give_up(way.spec.ledger);
        while (atomic_load(&way.state) == WAY_TAKEN)
            (void)usleep(WAIT_US);
        return;
    }
    if (way.note) {
        way.note->signum = signum;
        memcpy(way.note->magic, WAYBACK_MAGIC, sizeof(way.note->magic));
    }
    if (info)
        note_call(signum, info);
    plan_execute(way.plan);
    atomic_store(&way.state, WAY_CLOSED);
}

static void block_all(sigset_t *ret_before) {
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

static void go_masked(int signum) {
    sigset_t before;

    block_all(&before);
    go(signum, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void on_signal(int signum, siginfo_t *info, void *context);

/* Somebody has taken the signal over while it was on its way to us. */
static bool is_others(int signum) {
    struct sigaction now;

    return sigaction(signum, NULL, &now) == 0 && now.sa_sigaction != on_signal && now.sa_handler != SIG_DFL &&
           now.sa_handler != SIG_IGN;
}

static void on_signal(int signum, siginfo_t *info, void *context) {
    (void)context;
    if (signum == SIGALRM && (info->si_code != SI_KERNEL || atomic_load(&way.state) == WAY_CLOSED))
        return; /* it is not the timer's, or it came too late: this image is there to stay */
    if (signum == SIGALRM && atomic_load(&way.state) == WAY_HELD) {
        atomic_store(&way.rang, true);
        if (atomic_load(&way.state) != WAY_OPEN)
            return; /* who holds it sees that it rang */
    }
    go(signum, signum == SIGALRM ? NULL : info);
    if (is_others(signum)) {
        if (info->si_code <= 0)
            (void)raise(signum); /* comes when we return; a fault comes again by itself */
        return;
    }
    (void)signal(signum, SIG_DFL); /* there is no way back, or no more */
    (void)raise(signum);
}

static void on_exit_called(void) {
    wayback_take();
}

static void handle_all(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_ONSTACK | SA_SIGINFO};

    (void)sigfillset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, &way.before[i]);
}

/* What the image before has blocked, so that it would not come before the handlers. */
static void unblock(void) {
    sigset_t handled;

    (void)sigemptyset(&handled);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaddset(&handled, signals[i]);
    (void)pthread_sigmask(SIG_UNBLOCK, &handled, NULL);
}

/* A stack that overflows still has one for its handler. */
static void give_stack(void) {
    enum { STACK_BYTES = 64 << 10 };
    static char *stack;

    if (!stack)
        stack = xcalloc(1, STACK_BYTES);
    (void)sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = STACK_BYTES}, NULL);
}

int wayback_open(const struct handover *handover, char *const *argv, struct theseus_error *err) {
    static bool registered;

    way.spec = (struct plan_spec){
        .ledger_fd = handover->ledger_fd, .exe_fd = handover->back_fd, .back_fd = -1, .is_back = true, .argv = argv};
    if (plan_new(&way.plan, &way.spec, err) < 0)
        return -1;
    give_stack();
    atomic_store(&way.state, WAY_OPEN);
    handle_all();
    if (!registered)
        registered = atexit(on_exit_called) == 0;
    unblock();
    return 0;
}

int wayback_set_ledger(struct ledger *ledger, struct theseus_error *err) {
    struct plan *plan = NULL, *before = way.plan;
    size_t size = 0;

    if (!wayback_is_open())
        return 0;
    way.spec.ledger = ledger;
    if (plan_new(&plan, &way.spec, err) < 0)
        return -1;
    way.note = ledger_scratch(ledger, &size);
    if (size < sizeof(*way.note))
        way.note = NULL;
    way.crash_note = crash_left_place(ledger);
    way.plan = plan;
    (void)plan_free(before);
    return 0;
}

/* A signal that somebody has taken over by now is his: not for a moment is it nobody's. */
static void give_back(size_t i) {
    struct sigaction now;

    if (signals[i] == SIGALRM)
        (void)signal(SIGALRM, SIG_IGN); /* one that is pending already is of no interest any more */
    else if (sigaction(signals[i], NULL, &now) < 0 || now.sa_sigaction != on_signal)
        return;
    (void)sigaction(signals[i], &way.before[i], NULL);
}

void wayback_close(void) {
    struct itimerval none = {0};
    int state = WAY_OPEN;

    (void)setitimer(ITIMER_REAL, &none, NULL);
    if (!atomic_compare_exchange_strong(&way.state, &state, WAY_CLOSED) &&
        !(state == WAY_HELD && atomic_compare_exchange_strong(&way.state, &state, WAY_CLOSED)))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        give_back(i);
    way.plan = plan_free(way.plan);
    (void)close(way.spec.exe_fd);
}

void wayback_hold(void) {
    int state = WAY_OPEN;

    (void)atomic_compare_exchange_strong(&way.state, &state, WAY_HELD);
}

void wayback_release(void) {
    int state = WAY_HELD;

    if (atomic_compare_exchange_strong(&way.state, &state, WAY_OPEN) && atomic_exchange(&way.rang, false))
        go_masked(SIGALRM);
}

bool wayback_is_open(void) {
    int state = atomic_load(&way.state);

    return state == WAY_OPEN || state == WAY_HELD;
}

void wayback_take(void) {
    if (wayback_is_open())
        go_masked(0);
}

bool wayback_read_note(struct ledger *ledger, struct wayback_note *ret_note) {
    size_t size = 0;
    struct wayback_note *note = ledger_scratch(ledger, &size);

    if (!note || size < sizeof(*note) || memcmp(note->magic, WAYBACK_MAGIC, sizeof(note->magic)) != 0)
        return false;
    *ret_note = *note;
    memset(note, 0, sizeof(*note));
    return true;
}
