/*
 * theseus/hello: the first line of `theseus connect`, which stands between a client and the socket. It belongs to no
 * revision of MCP. What it says of the client is where that was started; what it gets names the session, and proves to
 * whom it belongs.
 */
#include <stdlib.h>
#include <unistd.h>

#include "conn/protocol.h"
#include "method/method.h"

static void refuse(struct call *call, json_t *data, const char *format, ...) PRINTF_LIKE(3, 4);

static void refuse(struct call *call, json_t *data, const char *format, ...) {
    struct theseus_error err = {0};
    va_list args;

    va_start(args, format);
    CLEANUP(free) char *text = xvasprintf(format, args);
    va_end(args);
    (void)fail(&err, ERR_REQUEST, "%s", text);
    call_fail(call, &err, data);
}

/* Neighbours understand each other: both speak the lower one. */
bool method_speaks(struct call *call) {
    json_int_t protocol = json_integer_value(json_object_get(call->message.params, "protocol"));

    if (protocol >= PROTOCOL_VERSION - 1 && protocol <= PROTOCOL_VERSION + 1 && protocol > 0)
        return true;
    refuse(call, json_pack("{s:i}", "protocol", PROTOCOL_VERSION),
           "this server (theseus %s) speaks protocol %d, and was spoken to in %lld; upgrade the %s", THESEUS_VERSION,
           PROTOCOL_VERSION, (long long)protocol, protocol > PROTOCOL_VERSION ? "server" : "program that connects");
    return false;
}

static json_t *welcome_new(const struct method_env *env, const struct session *session, json_int_t protocol) {
    return json_pack("{s:I, s:s, s:i, s:s, s:s, s:s}", "protocol",
                     protocol < PROTOCOL_VERSION ? protocol : PROTOCOL_VERSION, "version", THESEUS_VERSION, "pid",
                     (int)getpid(), "boot_id", env->boot_id, "session", session->id, "secret", session->secret);
}

void method_hello(struct method_env *env, struct conn *conn, struct call *call) {
    const json_t *params = call->message.params;
    json_int_t protocol = json_integer_value(json_object_get(params, "protocol"));
    const char *directory = json_string_value(json_object_get(params, "directory"));
    struct session *session = conn_session(conn);

    if (!method_speaks(call))
        return;
    if (session->secret[0] || session->revision) {
        refuse(call, NULL, "theseus/hello is the first line of a connection, and of no other");
        return;
    }
    if (!directory || directory[0] != '/') {
        refuse(call, NULL, "'directory' is missing, or no absolute path");
        return;
    }
    session_make_secret(session);
    free(session->home);
    session->home = xstrdup(directory);
    conn_session_changed(conn);
    call_answer(call, welcome_new(env, session, protocol));
    conn_be_resumable(conn); /* this answer is between the two sides: nobody asks for it again */
}
