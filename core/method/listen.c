#include "base/log.h"
#include "method/method.h"

/* The request stays open: what it asks for comes tagged with its id, until either side ends it. */
void method_listen(struct method_env *env, struct conn *conn, struct call *call) {
    const json_t *asked = json_object_get(call->message.params, "notifications");
    bool tools = json_is_true(json_object_get(asked, "toolsListChanged"));
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    (void)env;
    if (!json_is_object(asked)) {
        method_refuse_params(call, "'notifications' is missing or no object");
        return;
    }
    if (conn_listen(conn, call, tools ? LISTEN_TOOLS : 0, &err) < 0) {
        call_fail(call, &err, NULL);
        return;
    }
    json_auto_t *params = json_pack("{s:{s:O}, s:{s:o*}}", "_meta", META_SUBSCRIPTION, call->id, "notifications",
                                    "toolsListChanged", tools ? json_true() : NULL);
    if (message_write_notification("notifications/subscriptions/acknowledged", params, &line, &err) < 0)
        log_error("%s", err.message);
    else
        conn_say(conn, &line);
}
