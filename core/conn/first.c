/* limits.first_line: whoever connects, begins to say something and does not end it takes a place that others may need.
 */
#include "base/log.h"
#include "conn/inner.h"
#include "loop/timer.h"

static void on_time(void *arg) {
    struct conn *conn = arg;
    struct theseus_error err = {0};

    loop_enter();
    (void)fail(&err, ERR_TIMEOUT, "the first message was not whole within %d s (limits.first_line)",
               conn_config(conn)->limits.first_line);
    queue_refuse(conn, NULL, &err);
    output_write(conn);
    conn->broken = true;
    output_wake(conn);
}

void first_watch(struct conn *conn) {
    const int64_t limit_ms = INT64_C(1000) * conn_config(conn)->limits.first_line;
    bool begun = frame_offset(conn->frame) == 0 && frame_rest(conn->frame).len > 0;

    if (!begun || limit_ms == 0 || conn_is_stdio(conn)) {
        conn->first = timer_free(conn->first);
    } else if (!conn->first) {
        conn->first = timer_new(conn->host->loop, on_time, conn);
        timer_start(conn->first, limit_ms, 0);
    }
}
