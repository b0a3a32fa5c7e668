#include "server/retrial.h"

#include "base/log.h"
#include "loop/timer.h"
#include "server/inner.h"
#include "server/quarantine.h"
#include "server/restart_inner.h"

enum {
    ANSWER_MS = 100, /* of the restart's time, left for its answer */
};

void retrial_end(struct server *server) {
    struct retrial *retrial = &server->retrial;

    if (!retrial->on)
        return;
    retrial->on = false;
    retrial->limit = timer_free(retrial->limit);
    retrial->done(server);
}

static void on_idle(void *arg) {
    loop_enter();
    retrial_end(arg);
}

static void on_limit(void *arg) {
    loop_enter();
    log_warning("the time of the restart is over, and not every plugin has been tried again");
    retrial_end(arg);
}

/* The image that may have to go on behind a crash is to know. */
static void note(struct server *server) ON_LOOP {
    struct restart_facts *facts = &server->restart.facts;
    struct theseus_error err = {0};

    facts->flags |= RESTART_RETRIES;
    if (facts_record(facts, server->ledger, &err) < 0)
        log_error("the restart cannot be recorded: %s", err.message);
}

void retrial_begin(struct server *server, bool forgives, retrial_done_fn *done) {
    struct retrial *retrial = &server->retrial;
    int64_t left_ms = restart_left_ms(&server->restart) - ANSWER_MS;

    *retrial = (struct retrial){.on = true, .idle = {.run = on_idle, .arg = server}, .done = done};
    retrial->limit = timer_new(server->loop, on_limit, server);
    timer_start(retrial->limit, left_ms > 0 ? left_ms : 0, 0);
    note(server);
    if (forgives)
        quarantine_forgive(server);
    plugins_rescan(server->plugins);
    plugins_when_idle(server->plugins, &retrial->idle);
}

void retrial_fini(struct server *server) {
    server->retrial.on = false;
    server->retrial.limit = timer_free(server->retrial.limit);
    if (server->loop)
        loop_forget(server->loop, &server->retrial.idle);
}
