/*
 * A client that has gone while its input cannot be read, because it does not take what it is sent: the end of the input
 * lies behind bytes that nobody will read. It is given up when nothing moves for a while; as long as it reads, it only
 * is slow.
 */
#include "base/limits.h"
#include "base/log.h"
#include "conn/inner.h"
#include "loop/timer.h"

static uint64_t written(struct conn *conn) {
    ledger_enter(conn->host->ledger);
    uint64_t count = conn->outbox.written;
    ledger_leave(conn->host->ledger);
    return count;
}

static void on_time(void *arg) {
    struct conn *conn = arg;
    uint64_t now = written(conn);

    loop_enter();
    if (now == conn->hangup_written && !conn->ended) {
        log_info("connection %d: the client has gone without reading its answers", (int)conn->number);
        conn->broken = true;
        timer_stop(conn->hangup);
        output_wake(conn);
    }
    conn->hangup_written = now;
}

void hangup_noticed(struct conn *conn) {
    conn->hangup_written = written(conn);
    conn->hangup = timer_new(conn->host->loop, on_time, conn);
    timer_start(conn->hangup, LIMIT_HANGUP_MS, LIMIT_HANGUP_MS);
    input_want(conn);
}
