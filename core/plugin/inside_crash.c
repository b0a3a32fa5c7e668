/*
 * The last words of the process of an isolated plugin: its handler says over the cord where it crashed, and lets the
 * signal end it. Nothing that is said is needed: the server knows the signal from the end itself.
 *
 * A process has one end, so this is state of the process.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/crash_trace.h"
#include "base/memlimit.h"
#include "loop/thread.h"
#include "plugin/cord.h"
#include "plugin/inside.h"

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

static struct {
    int cord;
    atomic_int first; /* the thread that has crashed */
    struct cord_crash crash;
} last = {.cord = -1};

/* ---- in the handler: nothing but what is async-signal-safe ---- */

_Noreturn static void die(int signum) {
    sigset_t mask;

    (void)signal(signum, SIG_DFL);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, signum);
    (void)pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    (void)raise(signum);
    _exit(128 + signum);
}

static void on_signal(int signum, siginfo_t *info, void *context) {
    const int error = errno, self = gettid();
    int nobody = 0;

    if (!atomic_compare_exchange_strong(&last.first, &nobody, self)) {
        while (nobody != self)
            (void)pause();                       /* another thread is speaking */
        cord_send_crash(last.cord, &last.crash); /* what the handler had, when it crashed itself */
        die(signum);
    }
    last.crash.error = error;
    crash_trace_begin(&last.crash.note, signum, info);
    last.crash.memory = memlimit_addresses_used();
    crash_trace_walk(&last.crash.note, context);
    cord_send_crash(last.cord, &last.crash);
    die(signum);
}

/* ---- before ---- */

void inside_crash_arm(int cord) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_ONSTACK | SA_SIGINFO | SA_NODEFER};

    if (!memlimit_works() || thread_give_signal_stack(NULL) < 0)
        return; /* a sanitizer has the signals itself */
    last.cord = cord;
    crash_trace_prepare();
    (void)sigfillset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigdelset(&action.sa_mask, signals[i]);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
}
