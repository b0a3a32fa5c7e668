#include "method/method.h"

void method_set_level(struct method_env *env, struct conn *conn, struct call *call) {
    const char *name = json_string_value(json_object_get(call->message.params, "level"));
    int level = name ? revision_log_level(name) : -1;

    (void)env;
    if (level < 0) {
        method_refuse_params(call,
                             "'level' is none of debug, info, notice, warning, error, critical, alert, emergency");
        return;
    }
    conn_session(conn)->log_level = level;
    conn_session_changed(conn);
    call_answer(call, json_object());
}
