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
#include "base/fatal.h"
#include "base/memlimit.h"
#include "loop/thread.h"
#include "plugin/cord.h"
#include "plugin/inside.h"

static struct {
    int cord;
    atomic_int first; /* the thread that has crashed */
    struct cord_crash crash;
} last = {.cord = -1};

/* ---- in the handler: nothing but what is async-signal-safe ---- */

static void on_signal(int signum, siginfo_t *info, void *context) {
    const int error = errno, self = gettid();
    int nobody = 0;

    if (!atomic_compare_exchange_strong(&last.first, &nobody, self)) {
        while (nobody != self)
            (void)pause();                       /* another thread is speaking */
        cord_send_crash(last.cord, &last.crash); /* what the handler had, when it crashed itself */
        fatal_die(signum);
    }
    last.crash.error = error;
    crash_trace_begin(&last.crash.note, signum, info);
    last.crash.memory = memlimit_addresses_used();
    crash_trace_walk(&last.crash.note, context);
    cord_send_crash(last.cord, &last.crash);
    fatal_die(signum);
}

/* Not in the handler. */
static void on_end(enum crash_call call, int status) {
    const siginfo_t info = {.si_signo = SIGABRT, .si_code = SI_TKILL};

    (void)status;
    crash_trace_begin(&last.crash.note, SIGABRT, &info);
    last.crash.note.call = call;
    last.crash.memory = memlimit_addresses_used();
    crash_trace_walk(&last.crash.note, NULL);
    cord_send_crash(last.cord, &last.crash);
    fatal_die(SIGABRT);
}

/* ---- before ---- */

void inside_crash_arm(int cord) {
    if (!memlimit_works() || thread_give_signal_stack(NULL) < 0)
        return; /* a sanitizer has the signals itself */
    last.cord = cord;
    crash_trace_prepare();
    fatal_handle(&(struct fatal_spec){.on_signal = on_signal, .on_end = on_end});
}
