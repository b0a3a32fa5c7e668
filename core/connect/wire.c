#include "connect/wire.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conn/protocol.h"
#include "connect/handshake.h"

#define HELLO_ID OWN_ID "1"
#define RESUME_ID OWN_ID "2"

int wire_write_greeting(const char *directory, const char *session, const char *secret, json_t *unanswered,
                        uint64_t received, struct buf *out, struct theseus_error *err) {
    json_auto_t *params = json_pack("{s:i, s:s, s:s, s:i}", "protocol", PROTOCOL_VERSION, "version", THESEUS_VERSION,
                                    "directory", directory, "pid", (int)getpid());

    if (!params)
        return fail(err, ERR_INVALID, "the name of the current directory is no UTF-8: '%s'", directory);
    if (!session)
        return message_write_request(HELLO_ID, "theseus/hello", params, out, err);
    json_object_set_new(params, "session", json_string(session));
    json_object_set_new(params, "secret", json_string(secret));
    json_object_set(params, "unanswered", unanswered);
    json_object_set_new(params, "received", json_integer((json_int_t)received));
    return message_write_request(RESUME_ID, "theseus/resume", params, out, err);
}

int wire_write_ack(uint64_t received, struct buf *out, struct theseus_error *err) {
    json_auto_t *params = json_pack("{s:I}", "received", (json_int_t)received);

    return message_write_notification("theseus/ack", params, out, err);
}

int wire_write_bye(struct buf *out, struct theseus_error *err) {
    return message_write_notification("theseus/bye", NULL, out, err);
}

static int refused(const json_t *error, struct wire_greeting *greeting) {
    const char *text = json_string_value(json_object_get(error, "message"));

    greeting->answer = WIRE_REFUSED;
    (void)snprintf(greeting->why, sizeof(greeting->why), "%s", text ? text : "the server says no, and not why");
    return 0;
}

int wire_read_greeting(const struct message *message, struct wire_greeting *ret_greeting, struct theseus_error *err) {
    const char *id = json_string_value(message->id);
    const json_t *result = json_object_get(message->root, "result"), *error = json_object_get(message->root, "error");

    *ret_greeting = (struct wire_greeting){0};
    if (message->kind != MESSAGE_RESPONSE || !id)
        return fail(err, ERR_INVALID, "it begins with something else than an answer to the greeting");
    if (error)
        return refused(error, ret_greeting);
    ret_greeting->session = json_string_value(json_object_get(result, "session"));
    ret_greeting->secret = json_string_value(json_object_get(result, "secret"));
    ret_greeting->fates = json_object_get(result, "fates");
    if (strcmp(id, HELLO_ID) == 0 && ret_greeting->session && ret_greeting->secret)
        ret_greeting->answer = WIRE_HELLO;
    else if (strcmp(id, RESUME_ID) == 0 && ret_greeting->session && json_is_array(ret_greeting->fates))
        ret_greeting->answer = WIRE_RESUME;
    else
        return fail(err, ERR_INVALID, "it answers the greeting in words that this version does not know");
    return 0;
}
