/*
 * theseus/resume, ack and bye: what `theseus connect` says beside its client's own lines. Whether a session may be
 * taken over is the server's to say.
 */
#include "method/method.h"

void method_resume(struct method_env *env, struct conn *conn, struct call *call) {
    struct theseus_error err = {0};

    if (!method_speaks(call))
        return;
    if (env->resume) {
        env->resume(env->arg, conn, call);
        return;
    }
    (void)fail(&err, ERR_REQUEST, "no session outlives its stream here");
    call_fail(call, &err, json_pack("{s:s}", "reason", "unknown session"));
}

static void acknowledge(struct method_env *env, struct conn *conn, const json_t *params) ON_LOOP {
    json_int_t received = json_integer_value(json_object_get(params, "received"));

    if (received > 0)
        conn_acknowledge(conn, (uint64_t)received);
    if (env->acknowledged)
        env->acknowledged(env->arg);
}

bool method_of_socket(struct method_env *env, struct conn *conn, const struct message *message) {
    if (strncmp(message->method, "theseus/", strlen("theseus/")) != 0 || conn_is_stdio(conn))
        return false;
    if (strcmp(message->method, "theseus/ack") == 0)
        acknowledge(env, conn, message->params);
    else if (strcmp(message->method, "theseus/bye") == 0)
        conn_bye(conn);
    return true;
}
