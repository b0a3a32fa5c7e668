/*
 * The last steps of the old image: signals are blocked, everything is recorded, and the candidate's descriptor is
 * executed. If that returns, nothing has changed.
 */
#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "server/handover.h"
#include "server/late.h"
#include "server/restart_inner.h"
#include "server/supervisor.h"

enum { LEAST_STARTUP_MS = 1000, URGENT_MS = 100 };

/* All but those that a crash raises: a signal between two images would kill, blocked it waits for the next one. */
static void block_signals(struct restart *restart) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;

    (void)sigfillset(&all);
    for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
        (void)sigdelset(&all, crashes[i]);
    (void)pthread_sigmask(SIG_SETMASK, &all, &restart->mask);
    restart->masked = true;
}

static int keep(struct server *server, const char *name, int fd, struct theseus_error *err) {
    return fd < 0 ? handover_forget(server->ledger, name, err) : handover_keep(server->ledger, name, fd, err);
}

static int record_all(struct server *server, struct theseus_error *err) ON_LOOP {
    struct restart_facts *facts = &server->restart.facts;
    struct tally tally = suspend_count(server);

    clients_sessions_changed(server->clients); /* again: descriptors are handed over by what the ledger says */
    facts->attempt = 1;
    facts->requests_held = (uint64_t)tally.held;
    facts->bytes_carried = ledger_stats(server->ledger).live_bytes;
    if (keep(server, KEPT_IMAGES_LOCK, imagedir_lock_fd(server->imagedir), err) < 0 ||
        keep(server, KEPT_SNAPSHOT_LOCK, upkeep_lock_fd(server), err) < 0 || boot_keep(server, err) < 0)
        return -1;
    return facts_record(facts, server->ledger, err);
}

static int startup_ms(const struct server *server) {
    int64_t startup = (int64_t)server->config->restart.process_startup * 1000, left = restart_left_ms(&server->restart);

    if (left < LEAST_STARTUP_MS)
        left = LEAST_STARTUP_MS;
    return (int)(startup < left ? startup : left);
}

static int execute(struct server *server, struct theseus_error *err) ON_LOOP {
    struct restart *restart = &server->restart;
    CLEANUP(plan_free) struct plan *plan = NULL;
    struct plan_spec spec = {.ledger = server->ledger,
                             .ledger_fd = ledger_fd(server->ledger),
                             .exe_fd = restart->candidate.fd,
                             .back_fd = server->exe_fd,
                             .argv = server->argv,
                             .startup_ms = startup_ms(server)};

    restart->facts.stopped_ns = clock_now_ns(); /* no line is handled from here on */
    if (binary_check_unchanged(&restart->candidate, err) < 0)
        return -1;
    clients_flush(server->clients);
    if (record_all(server, err) < 0 || plan_new(&plan, &spec, err) < 0)
        return -1;
    plan_execute(plan);
    return fail_errno(err, "'%s' could not be executed", restart->candidate.path);
}

/* Somebody asks how the restart goes, or for another one: that is answered in this very turn of the loop, or the next.
 */
static bool waits(const struct restart *restart) {
    return clock_now_ns() - restart->blocked_ns < URGENT_MS * INT64_C(1000000);
}

/*
 * Signals are blocked, and those that came before are to be heard first: else the image that has caught them is gone.
 * The loop hears them after whatever else is ready in a turn, so the exec is for the turn behind the next.
 */
static void on_launch(void *arg) {
    struct server *server = arg;
    struct restart *restart = &server->restart;
    struct theseus_error err = {0};

    loop_enter();
    if (!restart_goes_on(server))
        return;
    if (++restart->turns < 2 || (suspend_count(server).urgent > 0 && waits(restart)))
        loop_post_task(server->loop, &restart->launch);
    else if (execute(server, &err) < 0)
        restart_fail(server, &err);
}

void restart_launch(struct server *server) {
    struct restart *restart = &server->restart;
    struct theseus_error err = {0};

    if (!restart_goes_on(server))
        return;
    restart_set_phase(server, PHASE_STARTING);
    if (server->listener)
        supervisor_reloading();
    if (late_keep(server->ledger, &err) < 0) { /* now: while lines are handled it costs nobody anything */
        restart_fail(server, &err);
        return;
    }
    block_signals(restart);
    plugins_pause_urgent(server->plugins);
    restart->turns = 0;
    restart->blocked_ns = clock_now_ns();
    restart->launch = (struct loop_task){.run = on_launch, .arg = server};
    loop_post_task(server->loop, &restart->launch);
}
