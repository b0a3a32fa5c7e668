#include "server/crash.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/crash_trace.h"
#include "base/fatal.h"
#include "base/log.h"
#include "call/call.h"
#include "loop/poll.h"
#include "loop/thread.h"
#include "server/coredump.h"
#include "server/crash_left.h"
#include "server/handover.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

enum {
    LOOP_MS = 20,  /* so long the loop is given to begin */
    WALK_MS = 500, /* for the backtrace, which takes less than one as a rule */
    NAME_MS = 200,
    RETRY_MS = 1,
    RETRIES = 5000, /* while somebody else is on the way to an exec that fails */
    EXIT_BY_SIGNAL = 128,
};

/* How far it has come. */
enum { CALM, NOTING, ASKED, EXECUTING };

static struct {
    bool armed;
    atomic_bool core_dump, leaving;
    struct ledger *ledger;   /* borrowed */
    struct plan *plan;       /* owned */
    struct crash_note *note; /* in the ledger; NULL: it has no room for one */
    struct poll *poll;       /* owned */
    int wake_fd;             /* readable: the loop is asked */
    pid_t process, loop_thread;
    struct stat ledger_file; /* what the ledger's descriptor refers to */
    atomic_int stage;
    atomic_int first;    /* the thread that has crashed */
    atomic_int executor; /* the one that executes; 0: none yet */
    atomic_int faults;   /* of these two */
    atomic_int signum;
    atomic_int limit; /* the timer of the search of `first`; negative: there is none */
} crash = {.wake_fd = -1, .limit = -1};

bool crash_is_handled(void) {
#ifdef SANITIZED
    return false;
#else
    return true;
#endif
}

void crash_set_core_dump(bool wanted) {
    atomic_store(&crash.core_dump, wanted);
}

void crash_set_leaving(void) {
    atomic_store(&crash.leaving, true);
}

/* ---- from the signal to the exec: nothing but what is async-signal-safe ---- */

static void nap(int ms) {
    const struct timespec time = {.tv_nsec = ms * 1000000L};

    (void)nanosleep(&time, NULL);
}

static void say(const char *text) {
    (void)!write(STDERR_FILENO, text, strlen(text));
}

_Noreturn static void park(void) {
    ledger_gate_give_up(crash.ledger);
    for (;;)
        (void)pause();
}

static void seal_note(uint32_t faults) {
    if (!crash.note)
        return;
    crash.note->faults = faults;
    memcpy(crash.note->magic, CRASH_MAGIC, sizeof(crash.note->magic));
}

/* Without its descriptor the next image would find no ledger. */
static bool has_ledger(void) {
    struct stat now;

    if (fstat(ledger_fd(crash.ledger), &now) < 0)
        return errno != EBADF;
    return now.st_ino == crash.ledger_file.st_ino && now.st_dev == crash.ledger_file.st_dev;
}

/* Whoever has closed them may still be in the call in which it did, at whose end it is found and named. */
_Noreturn static void end_closed(void) {
    const bool known = crash.note && crash.note->plugin[0];

    if (!known)
        nap(NAME_MS);
    say("theseus: ");
    say(known ? "plugin '" : "a plugin");
    say(known ? crash.note->plugin : "");
    say(known ? "'" : "");
    say(" has closed descriptors of the server's, or crashed after they were closed; the server ends\n");
    fatal_die(SIGABRT);
}

_Noreturn static void execute(void) {
    atomic_store(&crash.executor, gettid());
    seal_note((uint32_t)atomic_load(&crash.faults));
    if (!has_ledger())
        end_closed();
    for (int i = 0; i < RETRIES; i++) {
        plan_execute(crash.plan);
        if (errno != EBUSY)
            break;
        nap(RETRY_MS);
    }
    say("theseus: it crashed, and its own image could not be executed\n");
    fatal_die(atomic_load(&crash.signum));
}

static bool begin_exec(void) {
    int asked = ASKED;

    return atomic_compare_exchange_strong(&crash.stage, &asked, EXECUTING);
}

/* On the loop, at a clean point. */
static void on_asked(void *arg, int events) {
    sigset_t all;

    (void)arg;
    (void)events;
    if (!begin_exec())
        return;
    (void)sigfillset(&all);
    fatal_except(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
    execute();
}

static void wake_loop(void) {
    const uint64_t one = 1;

    (void)!write(crash.wake_fd, &one, sizeof(one));
}

static void wait_for_loop(void) {
    nap(LOOP_MS);
    if (!begin_exec())
        park(); /* it has begun */
}

/* Looking for the way there may come upon a lock that the crashed thread holds, or go round in a circle of what it has
 * spoilt. That it takes too long is then a second crash of the same thread, which ends the search. A timer of the
 * kernel's, as no function of the C library makes one in a handler. */
static void begin_limit(void) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGABRT};
    const struct itimerspec limit = {.it_value = {.tv_nsec = WALK_MS * 1000000L}};
    int timer = -1;

    event._sigev_un._tid = gettid();
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) < 0)
        return;
    atomic_store(&crash.limit, timer);
    (void)syscall(SYS_timer_settime, timer, 0, &limit, NULL);
}

static void end_limit(void) {
    int timer = atomic_exchange(&crash.limit, -1);

    if (timer >= 0)
        (void)syscall(SYS_timer_delete, timer);
}

/* What has happened on this thread. */
struct fault {
    int signum;
    enum crash_call call;
    const siginfo_t *info;
    const ucontext_t *context; /* NULL: it is no handler in which we are */
};

static void note_crash(const struct fault *fault) {
    struct crash_note *note = crash.note;

    if (!note)
        return;
    crash_trace_begin(note, fault->signum, fault->info);
    note->call = fault->call;
    note->on_loop = gettid() == crash.loop_thread;
    note->leaving = atomic_load(&crash.leaving);
    note->served = call_served();
    if (atomic_load(&crash.core_dump))
        note->core_pid = coredump_fork(fault->signum);
    begin_limit();
    crash_trace_walk(note, fault->context);
    end_limit();
}

/* Somebody else has sent it: the thread has come to no harm, and what it does inside the gate it can bring to its end.
 */
static bool may_go_on(const siginfo_t *info) {
    return info->si_code == SI_USER && ledger_gate_is_own(crash.ledger);
}

static void on_first(const struct fault *fault) {
    bool on_loop = gettid() == crash.loop_thread, goes_on = may_go_on(fault->info);

    atomic_store(&crash.signum, fault->signum);
    atomic_store(&crash.stage, NOTING);
    note_crash(fault);
    atomic_store(&crash.stage, on_loop && !goes_on ? EXECUTING : ASKED);
    wake_loop();
    if (goes_on)
        return;
    ledger_gate_give_up(crash.ledger); /* should the loop execute, it is not to wait for us */
    if (!on_loop)
        wait_for_loop();
    execute();
}

/* Another thread has crashed before. Should this be the loop, that one has nobody to ask. */
_Noreturn static void on_other(void) {
    if (gettid() == crash.loop_thread) {
        while (atomic_load(&crash.stage) < ASKED)
            nap(1);
        if (begin_exec())
            execute();
    }
    park();
}

/* What was to be done in the handler crashes itself. That the time of the search ends then is no third crash. */
_Noreturn static void on_again(int signum) {
    end_limit();
    if (atomic_fetch_add(&crash.faults, 1) > 1)
        _exit(EXIT_BY_SIGNAL + signum);
    atomic_store(&crash.stage, EXECUTING);
    execute();
}

static void on_fault(const struct fault *fault) {
    pid_t self = gettid();
    int nobody = 0;

    if (self == atomic_load(&crash.first) || self == atomic_load(&crash.executor))
        on_again(fault->signum);
    if (!atomic_compare_exchange_strong(&crash.first, &nobody, self))
        on_other();
    atomic_store(&crash.faults, 1);
    on_first(fault);
}

static void on_signal(int signum, siginfo_t *info, void *context) {
    const struct fault fault = {.signum = signum, .info = info, .context = context};

    if (getpid() != crash.process)
        fatal_die(signum); /* a child that a plugin has forked: the ledger and the connections are not its own */
    on_fault(&fault);
}

/* Code that would end the process or a thread of it from within has failed no less than what aborts. */
static void on_end(enum crash_call call, int status) {
    const siginfo_t info = {.si_signo = SIGABRT, .si_code = SI_TKILL, .si_addr = (void *)(uintptr_t)(unsigned)status};
    const struct fault fault = {.signum = SIGABRT, .call = call, .info = &info};
    struct fatal_mended mended;

    if (call != CRASH_BY_CLOSING)
        (void)fatal_mend(&mended); /* faults from here on are to be handled */
    on_fault(&fault);
}

/* ---- before ---- */

static int make_ready(const struct crash_spec *spec, struct theseus_error *err) ON_LOOP {
    struct plan_spec plan = {.ledger = spec->ledger,
                             .ledger_fd = ledger_fd(spec->ledger),
                             .exe_fd = spec->exe_fd,
                             .back_fd = -1,
                             .is_crash = true,
                             .argv = spec->argv};

    if (plan_new(&crash.plan, &plan, err) < 0 || thread_give_signal_stack(err) < 0)
        return -1;
    crash.ledger = spec->ledger;
    crash.note = crash_left_place(spec->ledger);
    crash.process = getpid();
    crash.loop_thread = gettid();
    if (fstat(ledger_fd(crash.ledger), &crash.ledger_file) < 0)
        return fail_errno(err, "cannot look at the ledger");
    crash.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (crash.wake_fd < 0)
        return fail_errno(err, "cannot make a descriptor by which the loop is woken");
    if (poll_new(&crash.poll, spec->loop, crash.wake_fd, on_asked, NULL, err) < 0)
        return -1;
    poll_want(crash.poll, POLL_READ);
    crash_trace_prepare();
    return 0;
}

static void undo(void) ON_LOOP {
    crash.poll = poll_free(crash.poll);
    if (crash.wake_fd >= 0)
        (void)close(crash.wake_fd);
    crash.wake_fd = -1;
    crash.plan = plan_free(crash.plan);
}

int crash_arm(const struct crash_spec *spec, struct theseus_error *err) {
    crash_disarm();
    if (!crash_is_handled())
        return 0;
    if (make_ready(spec, err) < 0) {
        undo();
        return -1;
    }
    fatal_handle(
        &(struct fatal_spec){.on_signal = on_signal, .on_end = on_end, .outlives_exit = true, .is_whole = has_ledger});
    crash.armed = true;
    return 0;
}

void crash_disarm(void) {
    if (!crash.armed)
        return;
    if (!has_ledger())
        end_closed(); /* a client whose descriptor is gone looks as if it had left */
    crash.armed = false;
    fatal_unhandle();
    undo();
}
