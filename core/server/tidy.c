#include "server/tidy.h"

#include <malloc.h>
#include <stdlib.h>

#include "base/log.h"
#include "loop/timer.h"

enum { QUIET_MS = 1000, LATEST_MS = 30000 };

struct tidy {
    struct loop *loop;
    struct lane *lane;
    struct ledger *ledger;
    struct timer *timer; /* owned */
    int64_t since_ms;    /* loop's clock: the first time that it was put off; 0: it is not wanted */
    struct lane_job job;
    bool runs;
    int r; /* of the job */
    struct theseus_error err;
};

static void run(void *arg) {
    struct tidy *tidy = container_of((struct lane_job *)arg, struct tidy, job);

    tidy->r = ledger_shrink(tidy->ledger, &tidy->err);
    (void)malloc_trim(0);
}

static void on_done(struct lane_job *job, bool timed_out) {
    struct tidy *tidy = container_of(job, struct tidy, job);

    loop_enter();
    (void)timed_out; /* it has no limit */
    tidy->runs = false;
    if (tidy->r < 0)
        log_warning("the ledger was not compacted: %s", tidy->err.message);
}

static void on_quiet(void *arg) {
    struct tidy *tidy = arg;

    loop_enter();
    tidy->since_ms = 0;
    if (tidy->runs) {
        tidy_later(tidy);
        return;
    }
    tidy->runs = true;
    tidy->err = (struct theseus_error){0};
    tidy->job = (struct lane_job){.run = run, .done = on_done};
    lane_submit(tidy->lane, &tidy->job);
}

void tidy_later(struct tidy *tidy) {
    int64_t now = loop_now_ms(tidy->loop);

    if (tidy->since_ms == 0)
        tidy->since_ms = now;
    if (now - tidy->since_ms < LATEST_MS)
        timer_start(tidy->timer, QUIET_MS, 0);
}

struct tidy *tidy_new(struct loop *loop, struct lane *lane, struct ledger *ledger) {
    struct tidy *tidy = xcalloc(1, sizeof(*tidy));

    tidy->loop = loop;
    tidy->lane = lane;
    tidy->ledger = ledger;
    tidy->timer = timer_new(loop, on_quiet, tidy);
    return tidy;
}

struct tidy *tidy_free(struct tidy *tidy) {
    if (!tidy)
        return NULL;
    tidy->timer = timer_free(tidy->timer);
    free(tidy);
    return NULL;
}
