/*
 * A request that is held for too long gets an error, as long as that can say for certain that it was never begun. Held
 * is what waits for its turn here, and a tool call that waits further on, for a worker, a restart or its plugin.
 *
 * One timer, begun with the first request: it fires no later than the oldest of them is due, and looks again.
 */
#include "base/clock.h"
#include "base/log.h"
#include "call/keep.h"
#include "conn/inner.h"
#include "loop/timer.h"

static const int64_t second_ns = 1000000000;

struct sweep {
    struct conn *conn;
    int64_t due; /* accepted before it: too long ago */
    int64_t oldest;
};

static int64_t limit_ns(const struct conn *conn) {
    return conn_config(conn)->buffer.buffer_expiration * second_ns;
}

/* Still to be begun, for the first time. */
static bool is_waiting(const struct call *call) {
    return call->attempts == 0 && atomic_load(&call->entry) == ENTRY_FREE &&
           (call->held || strcmp(call->method, "tools/call") == 0);
}

static void expire(const struct conn *conn, struct call *call) {
    struct theseus_error error = {0};

    if (!keep_bar(call))
        return; /* it is begun at this moment */
    (void)fail(&error, ERR_TIMEOUT,
               "the request was held for %d s (buffer.buffer_expiration) and was never begun; it may be sent again",
               conn_config(conn)->buffer.buffer_expiration);
    log_info("connection %d: %s: %s", (int)conn->number, call->method, error.message);
    call_fail(call, &error, NULL);
}

static void look_at(void *arg, struct call *call) {
    struct sweep *sweep = arg;

    if (!is_waiting(call))
        return;
    if (call->accepted_ns <= sweep->due)
        expire(sweep->conn, call);
    else if (call->accepted_ns < sweep->oldest)
        sweep->oldest = call->accepted_ns;
}

static void on_time(void *arg) {
    struct conn *conn = arg;
    int64_t now = clock_now_ns(), limit = limit_ns(conn);
    struct sweep sweep = {conn, now - limit, INT64_MAX};

    loop_enter();
    conn->expires = false;
    conn_each_call(conn, look_at, &sweep);
    if (sweep.oldest == INT64_MAX)
        return; /* whatever is held next begins anew */
    conn->expires = true;
    timer_start(conn->expiry, (sweep.oldest + limit - now) / 1000000 + 1, 0);
}

void expiry_watch(struct conn *conn) {
    if (conn->expires || !conn->started || conn_config(conn)->buffer.buffer_expiration == 0)
        return;
    conn->expires = true;
    if (!conn->expiry)
        conn->expiry = timer_new(conn->host->loop, on_time, conn);
    timer_start(conn->expiry, limit_ns(conn) / 1000000 + 1, 0); /* nothing is older than what is just coming */
}

void expiry_again(struct conn *conn) {
    if (conn->expiry)
        timer_stop(conn->expiry);
    conn->expires = false;
    if (conn->in_flight + conn->held_count == 0)
        return;
    expiry_watch(conn);
    if (conn->expires)
        timer_start(conn->expiry, 0, 0);
}
