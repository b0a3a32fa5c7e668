/* Calls that a handler makes itself (theseus_call_tool): on its own thread, as part of its own request. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "call/keep.h"
#include "plugin/access.h"
#include "plugin/ban.h"
#include "plugin/generation.h"
#include "plugin/run.h"

/* Does somebody up the chain already use this generation? Then a replacement waits for the chain, not we for it. */
static bool chain_uses(const struct run *run, const struct generation *generation) {
    for (; run; run = run->outer)
        if (run->offer->generation == generation)
            return true;
    return false;
}

static bool chain_runs(const struct run *run, const struct offer *offer) {
    for (; run; run = run->outer)
        if (run->offer == offer)
            return true;
    return false;
}

static bool chain_has_turn(const struct run *run) {
    for (; run; run = run->outer)
        if (run->serial)
            return true;
    return false;
}

static int check_still_wanted(const struct run *run, struct theseus_error *err) {
    if (atomic_load(&run->request->cancelled))
        return fail(err, ERR_TIMEOUT, "the call was cancelled, or its time is up");
    return 0;
}

static int fail_unknown(const struct run *run, struct theseus_error *err) {
    CLEANUP(ban_fini) struct ban ban = {0};

    if (ban_of_tool(run->host->ledger, run->name, &ban))
        return fail(err, ERR_MISSING, "tool '%.100s' is not served: its plugin '%s' crashed and was taken away",
                    run->name, ban.plugin);
    return fail(err, ERR_MISSING, "unknown tool '%.100s'", run->name);
}

/* The offer, once its plugin is not just being replaced. */
static int find(struct run *run, struct theseus_error *err) {
    struct registry *registry = run->host->registry;
    int access = access_check(run, run->name, err);

    if (access != 0)
        return access < 0 ? -1 : fail(err, ERR_MISSING, "unknown tool '%.100s'", run->name);
    for (;;) {
        run->offer = strstr(run->name, "://") ? NULL : registry_find(registry, run->name); /* that is a resource */
        if (!run->offer)
            return fail_unknown(run, err);
        if (!run->offer->generation->holding || chain_uses(run->outer, run->offer->generation))
            return 0;
        registry_release(registry, TAKE_PTR(run->offer));
        if (pthread_equal(pthread_self(), run->host->loop_thread))
            return fail(err, ERR_BUSY, "the plugin of tool '%s' is just being replaced", run->name);
        if (check_still_wanted(run, err) < 0)
            return -1;
        registry_wait(registry);
    }
}

/* On the loop thread nothing may be waited for: neither a replacement, nor a tool that blocks or answers later. */
static int check_thread(const struct run *run, struct theseus_error *err) {
    unsigned flags = run->offer->tool->flags;

    if (!pthread_equal(pthread_self(), run->host->loop_thread))
        return 0;
    if ((flags & (THESEUS_INLINE | THESEUS_SERIAL)) == THESEUS_INLINE)
        return 0;
    return fail(err, ERR_BUSY, "tool '%s' may block, and is called from one that runs on the loop thread", run->name);
}

static int wait_for_turn(struct run *run, struct theseus_error *err) {
    if (!(run->offer->tool->flags & THESEUS_SERIAL))
        return 0;
    if (chain_runs(run->outer, run->offer))
        return fail(err, ERR_BUSY, "tool '%s' never runs beside itself, and waits for this call", run->name);
    while (!registry_serial_enter(run->host->registry, run->offer, NULL)) {
        if (chain_has_turn(run->outer)) /* whoever has that turn may wait for ours */
            return fail(err, ERR_BUSY, "tool '%s' is busy, and never runs beside itself", run->name);
        if (check_still_wanted(run, err) < 0)
            return -1;
        registry_wait(run->host->registry);
    }
    run->serial = true;
    return 0;
}

/* One that answers later is waited for as long as somebody wants the whole call. */
static int wait_for_result(struct run *run, json_t **ret_result, struct theseus_error *err) {
    bool on_loop = pthread_equal(pthread_self(), run->host->loop_thread);
    int r = 0;

    (void)pthread_mutex_lock(&run->lock);
    if (!run->result && on_loop)
        r = fail(err, ERR_BUSY, "tool '%s' answers later, and is called from one that runs on the loop thread",
                 run->name);
    while (!run->result && r == 0) {
        const struct timespec until = clock_in_ms(1000);
        (void)pthread_cond_clockwait(&run->answered, &run->lock, CLOCK_MONOTONIC, &until);
        r = run->result ? 0 : check_still_wanted(run, err);
    }
    if (r == 0)
        *ret_result = TAKE_PTR(run->result);
    (void)pthread_mutex_unlock(&run->lock);
    return r;
}

static int work(struct run *run, json_t **ret_result, struct theseus_error *err) {
    struct theseus_error refused = {0};

    if (find(run, err) < 0 || check_thread(run, err) < 0)
        return -1;
    if (run_check_args(run, &refused) < 0) {
        *ret_result = run_text_result_new(refused.message, true);
        return 0;
    }
    if (wait_for_turn(run, err) < 0)
        return -1;
    uint64_t index = keep_inner_entered(run->request);
    run->key_text = xasprintf("%s-inner-%llu", run->request->key_text, (unsigned long long)(index >> 32));
    (void)atomic_fetch_add(&run->refs, 1); /* ours, while run_enter() gives up the handler's */
    run_enter(run);
    int r = wait_for_result(run, ret_result, err);
    keep_inner_left(run->request, index);
    return r;
}

/* ---- progress ---- */

/* How far it is, from 0 to nearly 1, also where it does not know how far it is to go. */
static double part_of(double done, double total) {
    const double nearly = 1023.0 / 1024;

    if (total <= 0)
        return done / (done + 1);
    return (done < total ? done / total : 1) * nearly;
}

/*
 * One number goes to the client, and it only grows. What an inner run reports is a part of the step at which the outer
 * one is; an outer one that reports nothing of its own leaves the whole to it.
 */
void run_progress(struct run *run, double done, double total, const char *message) {
    (void)pthread_mutex_lock(&run->lock);
    run->done = done;
    run->total = total;
    (void)pthread_mutex_unlock(&run->lock);
    for (struct run *outer = run->outer; outer && done >= 0; outer = outer->outer) {
        (void)pthread_mutex_lock(&outer->lock);
        if (outer->total > 0) {
            done = outer->done + part_of(done, total);
            total = outer->total;
        }
        (void)pthread_mutex_unlock(&outer->lock);
    }
    call_progress(run->request, done, total, message);
}

/* ---- the call ---- */

int run_inner(struct run *outer, const char *name, json_t *args, json_t **ret_result, struct theseus_error *err) {
    json_auto_t *owned = args;

    if (outer->depth + 1 > LIMIT_CALL_DEPTH)
        return fail(err, ERR_LIMIT, "calls inside calls go %d deep at most", LIMIT_CALL_DEPTH);
    if (call_is_over(outer->request) || atomic_load(&outer->request->cancelled))
        return fail(err, ERR_TIMEOUT, "the call that this would be part of is over");
    if (args && !json_is_object(args))
        return fail(err, ERR_PARAMS, "the arguments must be an object");
    struct run *run = run_new(outer->host, outer->request, name, owned);
    run->outer = run_ref(outer); /* it may end before us, when we answer later */
    run->depth = outer->depth + 1;
    int r = work(run, ret_result, err);
    (void)run_unref(run);
    return r;
}
