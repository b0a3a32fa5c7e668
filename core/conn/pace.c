/*
 * limits.rate: how many requests of a connection are begun in a second. As many may come at once; those behind them are
 * held until their time has come.
 */
#include "base/clock.h"
#include "conn/inner.h"
#include "loop/timer.h"

static const int64_t second_ns = 1000000000;

static void on_time(void *arg) {
    struct conn *conn = arg;

    loop_enter();
    output_wake(conn);
}

bool pace_allows(struct conn *conn) {
    const int rate = conn_config(conn)->limits.rate;

    if (rate == 0)
        return true;
    int64_t early_ns = conn->paced_ns - clock_now_ns() - (second_ns - second_ns / rate);
    if (early_ns <= 0)
        return true;
    if (!conn->pace)
        conn->pace = timer_new(conn->host->loop, on_time, conn);
    timer_start(conn->pace, early_ns / 1000000 + 1, 0);
    return false;
}

void pace_count(struct conn *conn) {
    const int rate = conn_config(conn)->limits.rate;

    if (rate == 0)
        return;
    int64_t now = clock_now_ns();
    conn->paced_ns = (conn->paced_ns > now ? conn->paced_ns : now) + second_ns / rate;
}
