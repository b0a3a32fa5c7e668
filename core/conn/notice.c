/* notifications/message that belong to no call: to a legacy session that has set a level. */
#include "base/log.h"
#include "conn/inner.h"

/* A client that does not read is spared. A modern client hears log messages of its own requests only. */
void conn_notice(struct conn *conn, int level, const json_t *data) {
    const struct session *session = &conn->session;
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    if (!session->initialized || session->log_level < 0 || level < session->log_level || output_is_full(conn))
        return;
    json_auto_t *params =
        json_pack("{s:s, s:s, s:O}", "level", revision_log_level_name(level), "logger", "theseus", "data", data);
    if (message_write_notification("notifications/message", params, &line, &err) < 0)
        log_error("a notice could not be written: %s", err.message);
    else
        conn_say(conn, &line);
}
