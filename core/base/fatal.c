#include "base/fatal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/blame.h"
#include "base/mem.h"

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
/* A pipe without a reader and a file that may not grow are errors of write(), and no reason to end. */
static const int ignored[] = {SIGPIPE, SIGXFSZ};

enum { EXIT_BY_SIGNAL = 128, EXITS_AT_ONCE = 8 };

static struct {
    pthread_mutex_t lock; /* of handlers that are set, here and there */
    atomic_bool handles;
    struct fatal_spec spec;
    pid_t process;
    struct sigaction before[ARRAY_SIZE(signals)];
    bool watches_exit;
} fatal = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local stack_t own_stack; /* ss_sp NULL: it has none */

/* ---- exit() ---- */

static bool tells(void) {
    return atomic_load(&fatal.handles) && getpid() == fatal.process;
}

/* What is called at the end is called once: another thread that calls exit() meanwhile needs one of its own. */
static bool register_exit(void);
static bool register_quick_exit(void);

static void on_exit_called(int status, void *arg) {
    (void)arg;
    if (!tells() || !fatal.spec.outlives_exit)
        return;
    (void)register_exit();
    fatal.spec.on_end(CRASH_BY_EXIT, status);
}

static void on_quick_exit_called(void) {
    if (!tells() || !fatal.spec.outlives_exit)
        return;
    (void)register_quick_exit();
    fatal.spec.on_end(CRASH_BY_QUICK_EXIT, 0);
}

static bool register_exit(void) {
    return on_exit(on_exit_called, NULL) == 0;
}

static bool register_quick_exit(void) {
    return at_quick_exit(on_quick_exit_called) == 0;
}

/* Before any plugin is loaded, whose own functions for the end then run before. */
static void watch_exit(void) {
    bool r = true;

    for (int i = 0; i < EXITS_AT_ONCE && !fatal.watches_exit; i++)
        r &= register_exit() && register_quick_exit();
    if (!r)
        abort(); /* no memory, at the start */
    fatal.watches_exit = true;
}

/* ---- handlers ---- */

static struct sigaction action_new(void) {
    struct sigaction action = {.sa_sigaction = fatal.spec.on_signal, .sa_flags = SA_ONSTACK | SA_SIGINFO | SA_NODEFER};

    (void)sigfillset(&action.sa_mask);
    fatal_except(&action.sa_mask);
    return action;
}

void fatal_handle(const struct fatal_spec *spec) {
    fatal_unhandle();
    (void)pthread_mutex_lock(&fatal.lock);
    fatal.spec = *spec;
    fatal.process = getpid();
    const struct sigaction action = action_new();
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, &fatal.before[i]);
    watch_exit();
    atomic_store(&fatal.handles, true);
    (void)pthread_mutex_unlock(&fatal.lock);
}

void fatal_unhandle(void) {
    (void)pthread_mutex_lock(&fatal.lock);
    if (atomic_exchange(&fatal.handles, false))
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
            (void)sigaction(signals[i], &fatal.before[i], NULL);
    (void)pthread_mutex_unlock(&fatal.lock);
}

void fatal_except(sigset_t *set) {
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigdelset(set, signals[i]);
}

void fatal_use_stack(const stack_t *stack) {
    own_stack = stack ? *stack : (stack_t){0};
}

/* ---- what was changed ---- */

static void note(struct fatal_mended *mended, int signum, const struct sigaction *now) {
    if (mended->signum != 0)
        return;
    mended->signum = signum;
    mended->handler =
        now->sa_handler == SIG_DFL || now->sa_handler == SIG_IGN ? NULL : (const void *)(uintptr_t)now->sa_handler;
}

static void mend_handlers(struct fatal_mended *mended) {
    struct sigaction now;

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (sigaction(signals[i], NULL, &now) < 0 ||
            (now.sa_sigaction == fatal.spec.on_signal && now.sa_flags & SA_ONSTACK))
            continue;
        note(mended, signals[i], &now);
        now = action_new();
        (void)sigaction(signals[i], &now, NULL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        if (sigaction(ignored[i], NULL, &now) < 0 || now.sa_handler == SIG_IGN)
            continue;
        note(mended, ignored[i], &now);
        (void)signal(ignored[i], SIG_IGN);
    }
}

static bool unblock(void) {
    sigset_t ours, before;
    bool any = false;

    (void)sigemptyset(&ours);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaddset(&ours, signals[i]);
    (void)pthread_sigmask(SIG_UNBLOCK, &ours, &before);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        any |= sigismember(&before, signals[i]) == 1;
    return any;
}

static bool mend_stack(void) {
    stack_t now;

    if (!own_stack.ss_sp || sigaltstack(NULL, &now) < 0)
        return false;
    if (now.ss_sp == own_stack.ss_sp && now.ss_size == own_stack.ss_size && !(now.ss_flags & SS_DISABLE))
        return false;
    return sigaltstack(&own_stack, NULL) == 0;
}

bool fatal_mend(struct fatal_mended *ret_mended) {
    *ret_mended = (struct fatal_mended){0};
    if (!tells())
        return false;
    (void)pthread_mutex_lock(&fatal.lock);
    if (atomic_load(&fatal.handles))
        mend_handlers(ret_mended);
    (void)pthread_mutex_unlock(&fatal.lock);
    ret_mended->stack = mend_stack(); /* before a signal may come that needs it */
    ret_mended->blocked = unblock();
    ret_mended->broken = fatal.spec.is_whole && !fatal.spec.is_whole();
    return ret_mended->signum != 0 || ret_mended->blocked || ret_mended->stack || ret_mended->broken;
}

/* ---- ends ---- */

/* One that the plugin has made is its own. */
static bool is_own_thread(const struct blame *blame) {
    return blame->slot && strcmp(blame->slot, "thread") == 0;
}

void fatal_thread_ends(void) {
    const struct blame *blame = blame_current();

    if (!blame || is_own_thread(blame) || (fatal.process > 0 && getpid() != fatal.process))
        return;
    if (tells())
        fatal.spec.on_end(CRASH_BY_THREAD_END, 0);
    abort(); /* else who waits for this thread would do so for ever */
}

void fatal_end_closed(void) {
    if (tells())
        fatal.spec.on_end(CRASH_BY_CLOSING, 0);
    fatal_die(SIGABRT);
}

void fatal_die(int signum) {
    sigset_t mask;

    (void)signal(signum, SIG_DFL);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, signum);
    (void)pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    (void)raise(signum);
    _exit(EXIT_BY_SIGNAL + signum);
}
