/*
 * Leaving. Calls may end for a while; what is still running then is cancelled, so that it can end its child processes;
 * and then the server goes, whatever still runs.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "call/proc.h"
#include "server/confirm.h"
#include "server/copies.h"
#include "server/crash.h"
#include "server/inner.h"
#include "server/restart.h"

static void go(struct server *server) ON_LOOP {
    server->over = true;
    loop_stop(server->loop);
}

static void on_leave_timer(void *arg) {
    struct server *server = arg;

    loop_enter();
    bool is_due = server->closed || loop_now_ms(server->loop) >= server->leave_due_ms;
    bool runs = workers_busy(server->workers) > 0 || workers_queued(server->workers) > 0;
    if ((server->closed || clients_are_idle(server->clients)) && !runs) {
        go(server);
    } else if (!server->cancelled && is_due) {
        server->cancelled = true;
        log_info("calls that still run are cancelled");
        restart_leave(server);
        extensions_let_go(server);
        clients_cancel_all(server->clients);
        server->leave_due_ms = loop_now_ms(server->loop) + LEAVE_CANCELLED_MS;
    } else if (server->cancelled && loop_now_ms(server->loop) >= server->leave_due_ms) {
        go(server);
    }
}

void leave_begin(struct server *server, const char *why, int64_t grace_ms) {
    if (server->leaving)
        return;
    server->leaving = true;
    crash_set_leaving();
    retrial_end(server);
    confirm_refuse_all(server, "the server is ending");
    log_info("leaving: %s", why);
    listening_end(server);
    clients_stop_reading(server->clients);
    upkeep_leave(server);
    server->leave_due_ms = loop_now_ms(server->loop) + grace_ms;
    server->leave_timer = timer_new(server->loop, on_leave_timer, server);
    timer_start(server->leave_timer, 0, 10);
}

/* Nobody is there to be answered any more; what still runs is a call that was cancelled, or that nobody waits for. */
void leave_closed(struct server *server) {
    leave_begin(server, "the client has gone", 0);
    server->closed = true;
    on_leave_timer(server);
}

void leave_on_signal(void *arg, int signum) {
    struct server *server = arg;
    int64_t grace = (int64_t)server->config->restart.shutdown_timeout * 1000;

    loop_enter();
    if (server->leaving) {
        log_info("signal %d while leaving: at once", signum);
        leave_end_children(server);
        copies_end(server->ledger);
        _exit(128 + signum);
    }
    clients_end_listens(server->clients, "the server is ending");
    if (!server->listens && grace > LEAVE_GRACE_MS)
        grace = LEAVE_GRACE_MS; /* a host waits for us, and not for long */
    leave_begin(server, strsignal(signum), grace);
}

/* A child process that a call had started: it, and the group that it leads, unless the pid is another's by now. */
static void end_child(void *arg, const void *recorded) {
    const struct child_record *child = recorded;
    struct theseus_error err = {0};
    uint64_t start_time = 0;

    (void)arg;
    if (proc_start_time((long)child->pid, &start_time, &err) < 0 || start_time != child->start_time)
        return;
    (void)kill(-(pid_t)child->pid, SIGKILL);
    (void)kill((pid_t)child->pid, SIGKILL); /* which may lead no group: it is waited for below */
    while (waitpid((pid_t)child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

void leave_end_children(struct server *server) {
    atomic_store(&server->plugin_host.leaving, true);
    ledger_each(server->ledger, &child_kind, end_child, NULL);
}
