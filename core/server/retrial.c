#include "server/retrial.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/timer.h"
#include "server/inner.h"
#include "server/quarantine.h"
#include "server/restart_inner.h"

enum {
    ANSWER_MS = 100,  /* of the restart's time, left for its answer */
    HISTORY_MS = 500, /* for the database to take what the next crash would forget: the one before */
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

static void write_run(void *job) {
    struct retrial *retrial = container_of((struct lane_job *)job, struct retrial, job);

    (void)chronicle_flush(retrial->chronicle, HISTORY_MS); /* what it did not take it will */
}

static void on_written(struct lane_job *job, bool timed_out) {
    struct retrial *retrial = container_of(job, struct retrial, job);
    struct server *server = container_of(retrial, struct server, retrial);

    loop_enter();
    (void)timed_out; /* it has no limit of the lane's */
    if (!retrial->on)
        return;
    if (retrial->forgives)
        quarantine_forgive(server);
    plugins_rescan(server->plugins);
    plugins_when_idle(server->plugins, &retrial->idle);
}

void retrial_begin(struct server *server, bool forgives, retrial_done_fn *done) {
    struct retrial *retrial = &server->retrial;
    int64_t left_ms = restart_left_ms(&server->restart) - ANSWER_MS;

    *retrial = (struct retrial){.on = true,
                                .forgives = forgives,
                                .idle = {.run = on_idle, .arg = server},
                                .done = done,
                                .chronicle = server->upkeep.chronicle,
                                .job = {.run = write_run, .done = on_written}};
    retrial->limit = timer_new(server->loop, on_limit, server);
    timer_start(retrial->limit, left_ms > 0 ? left_ms : 0, 0);
    note(server);
    lane_submit(server->lane, &retrial->job);
}

void retrial_fini(struct server *server) {
    server->retrial.on = false;
    server->retrial.limit = timer_free(server->retrial.limit);
    if (server->loop)
        loop_forget(server->loop, &server->retrial.idle);
}
