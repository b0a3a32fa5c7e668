/*
 * Running calls and a restart. Those that can go on from a checkpoint are asked for one; those that may run again are
 * waited for a little; all others are given their time, and then an explicit error.
 */
#include "base/log.h"
#include "plugin/run.h"
#include "rpc/shape.h"
#include "server/restart_inner.h"

enum { REPEATABLE_MS = 200 }; /* how long others wait for a call that could as well run again */

static bool is_asker(const struct server *server, const struct call *call) {
    const struct run *run = server->restart.run;

    return run && run->request == call;
}

static bool is_tool_call(const struct call *call) {
    return strcmp(call->method, "tools/call") == 0;
}

static bool runs(const struct server *server, const struct call *call) {
    return is_tool_call(call) && !is_asker(server, call) && atomic_load(&call->stage) == CALL_RUNNING;
}

static bool can_resume(const struct call *call) {
    return atomic_load(&call->tool_flags) & THESEUS_RESUMABLE;
}

static bool can_repeat(const struct call *call) {
    return atomic_load(&call->tool_flags) & (THESEUS_READ_ONLY | THESEUS_IDEMPOTENT);
}

struct counting {
    const struct server *server;
    struct tally tally;
};

static void count(void *arg, struct call *call) {
    struct counting *counting = arg;
    struct tally *tally = &counting->tally;
    int stage = atomic_load(&call->stage);

    if (!is_tool_call(call) || is_asker(counting->server, call))
        return;
    if (stage == CALL_RUNNING && call->urgent)
        tally->urgent++;
    if (stage == CALL_HELD)
        tally->held++;
    else if (stage == CALL_SUSPENDED)
        tally->suspended++;
    else if (can_resume(call))
        tally->resumable++;
    else if (can_repeat(call))
        tally->repeatable++;
    else
        tally->others++;
}

struct tally suspend_count(struct server *server) {
    struct counting counting = {.server = server};

    clients_each_call(server->clients, count, &counting);
    return counting.tally;
}

static void ask(void *arg, struct call *call) {
    if (runs(arg, call) && can_resume(call))
        atomic_store(&call->suspending, true);
}

void suspend_ask(struct server *server) {
    clients_each_call(server->clients, ask, server);
}

static void take_back(void *arg, struct call *call) {
    (void)arg;
    atomic_store(&call->suspending, false);
}

void suspend_take_back(struct server *server) {
    clients_each_call(server->clients, take_back, server);
}

bool suspend_is_done(const struct restart *restart, const struct tally *tally, int64_t waited_ms, int64_t limit_ms,
                     int64_t suspension_ms) {
    bool others_wait = tally->held > 0 || tally->suspended > 0;

    if (!(restart->facts.flags & RESTART_GRACEFUL) || waited_ms >= limit_ms)
        return true;
    if (tally->others > 0)
        return false;
    if (tally->resumable > 0 && waited_ms < suspension_ms)
        return false;
    return tally->repeatable == 0 || (others_wait && waited_ms >= REPEATABLE_MS);
}

static void interrupt(void *arg, struct call *call) {
    struct counting *counting = arg;

    if (!runs(counting->server, call) || can_repeat(call) || (can_resume(call) && atomic_load(&call->has_checkpoint)))
        return;
    call_answer(call,
                shape_tool_result(call->revision,
                                  run_text_result_new("the server restarts, and this call did not end in time: it "
                                                      "may have executed, in full or in part; look what it has "
                                                      "done before it is called again",
                                                      true)));
    atomic_store(&call->cancelled, true);
    counting->tally.others++;
}

int suspend_interrupt(struct server *server) {
    struct counting counting = {.server = server};

    clients_each_call(server->clients, interrupt, &counting);
    if (counting.tally.others > 0)
        log_warning("%d calls were interrupted by a restart", counting.tally.others);
    return counting.tally.others;
}
