#include "connect/handshake.h"

#include <stdio.h>
#include <string.h>

void handshake_fini(struct handshake *handshake) {
    json_decref(handshake->initialize);
    json_decref(handshake->log_level);
    json_decref(handshake->resources);
    *handshake = (struct handshake){0};
}

static void keep(json_t **place, json_t *params) {
    json_decref(*place);
    *place = json_deep_copy(params); /* NULL for none */
}

static void note_resource(struct handshake *handshake, const struct message *message, bool wanted) {
    const char *uri = json_string_value(json_object_get(message->params, "uri"));

    if (!uri)
        return;
    if (!handshake->resources)
        handshake->resources = json_object();
    if (wanted)
        json_object_set_new(handshake->resources, uri, json_deep_copy(message->params));
    else
        json_object_del(handshake->resources, uri);
}

void handshake_note(struct handshake *handshake, const struct message *message) {
    if (strcmp(message->method, "initialize") == 0) {
        handshake->agreed = handshake->initialized = false;
        keep(&handshake->initialize, message->params);
    } else if (strcmp(message->method, "notifications/initialized") == 0) {
        handshake->initialized = true;
    } else if (strcmp(message->method, "logging/setLevel") == 0) {
        keep(&handshake->log_level, message->params);
    } else if (strcmp(message->method, "resources/subscribe") == 0) {
        note_resource(handshake, message, true);
    } else if (strcmp(message->method, "resources/unsubscribe") == 0) {
        note_resource(handshake, message, false);
    }
}

void handshake_answered(struct handshake *handshake, bool has_result) {
    handshake->agreed = has_result;
}

/* What the client has said was JSON once, and is no larger now: only memory can be missing, and then the next thing
 * that needs any says so. */
static void ask(struct handshake *handshake, struct lines *server, const char *method, json_t *params) ON_LOOP {
    CLEANUP(buf_fini) struct buf line = {0};
    char id[32];

    (void)snprintf(id, sizeof(id), OWN_ID "r%d", ++handshake->replays);
    if (message_write_request(id, method, params, &line, NULL) == 0)
        lines_say(server, buf_span(&line));
}

void handshake_replay(struct handshake *handshake, struct lines *server) {
    CLEANUP(buf_fini) struct buf line = {0};
    const char *uri;
    json_t *params;

    if (!handshake->agreed)
        return;
    ask(handshake, server, "initialize", handshake->initialize);
    if (handshake->initialized && message_write_notification("notifications/initialized", NULL, &line, NULL) == 0)
        lines_say(server, buf_span(&line));
    if (handshake->log_level)
        ask(handshake, server, "logging/setLevel", handshake->log_level);
    json_object_foreach (handshake->resources, uri, params)
        ask(handshake, server, "resources/subscribe", params);
}
