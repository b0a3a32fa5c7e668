/* What the server says: counted, and passed on if the client still waits for it. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "connect/inner.h"
#include "rpc/revision.h"

enum {
    ACK_MS = 100,
    SHORT_ID = 18, /* characters of one that is read without the whole line: as a number it fits */
};

void server_side_send_ack(void *arg) {
    struct relay *relay = arg;
    CLEANUP(buf_fini) struct buf line = {0};

    loop_enter();
    if (relay->state != RELAY_OPEN || relay->acknowledged == relay->received)
        return;
    if (wire_write_ack(relay->received, &line, NULL) == 0)
        lines_say(relay->server, buf_span(&line));
    relay->acknowledged = relay->received;
}

static void pass(struct relay *relay, struct span line) ON_LOOP {
    lines_say(relay->client, line);
}

/* Was it waited for, and is this the first answer? */
static bool takes_answer(struct relay *relay, const json_t *id, bool has_result) ON_LOOP {
    struct asked *asked = asks_find(&relay->asks, id);

    if (!asked)
        return false;
    if (asked->doubled > 0) {
        asked->doubled--;
        return true;
    }
    if (asked->is_initialize)
        handshake_answered(&relay->handshake, has_result);
    asks_drop(&relay->asks, asked);
    return true;
}

static void take_answer(struct relay *relay, const json_t *id, bool has_result, struct span line) ON_LOOP {
    if (!id) { /* an error about a line that could not be read */
        pass(relay, line);
        return;
    }
    relay->received++;
    timer_start(relay->ack, ACK_MS, 0);
    if (takes_answer(relay, id, has_result))
        pass(relay, line);
}

static void take_answers(struct relay *relay, const json_t *array, struct span line) ON_LOOP {
    bool is_wanted = json_array_size(array) == 0;
    const json_t *item;
    size_t i;

    relay->received++;
    timer_start(relay->ack, ACK_MS, 0);
    json_array_foreach (array, i, item)
        is_wanted |= !json_object_get(item, "id") ||
                     takes_answer(relay, json_object_get(item, "id"), json_object_get(item, "result") != NULL);
    if (is_wanted)
        pass(relay, line);
}

/* To a subscription that was opened again for the client: what it listens for may have changed meanwhile. */
static void tell_listener(struct relay *relay, const json_t *id, const char *kind, const char *method,
                          const json_t *wanted) ON_LOOP {
    CLEANUP(buf_fini) struct buf line = {0};

    if (!json_is_true(json_object_get(wanted, kind)))
        return;
    json_auto_t *params = json_pack("{s:{s:O}}", "_meta", META_SUBSCRIPTION, id);
    if (message_write_notification(method, params, &line, NULL) == 0)
        pass(relay, buf_span(&line));
}

/* True: the client has heard that before. */
static bool is_second_acknowledgement(struct relay *relay, const struct message *message) ON_LOOP {
    json_t *id = json_object_get(json_object_get(message->params, "_meta"), META_SUBSCRIPTION);
    const json_t *wanted = json_object_get(message->params, "notifications");
    struct asked *asked = id ? asks_find(&relay->asks, id) : NULL;

    if (!asked || !asked->is_heard) {
        if (asked)
            asked->is_heard = true;
        return false;
    }
    tell_listener(relay, id, "toolsListChanged", "notifications/tools/list_changed", wanted);
    tell_listener(relay, id, "resourcesListChanged", "notifications/resources/list_changed", wanted);
    return true;
}

static void take_notification(struct relay *relay, const struct message *message, struct span line) ON_LOOP {
    if (strcmp(message->method, "notifications/subscriptions/acknowledged") == 0 &&
        is_second_acknowledgement(relay, message))
        return;
    pass(relay, line);
}

static void take_question(struct relay *relay, const struct message *message, struct span line) ON_LOOP {
    CLEANUP(buf_fini) struct buf key = {0};

    if (message_id_key(message->id, &key, NULL) == 0)
        (void)map_put(relay->questions, buf_span(&key), relay);
    pass(relay, line);
}

/* ---- reading ---- */

static bool skip(struct span *rest, const char *text) {
    size_t len = strlen(text);

    if (rest->len < len || memcmp(rest->data, text, len) != 0)
        return false;
    *rest = (struct span){rest->data + len, rest->len - len};
    return true;
}

/* A number, or a text without escapes. */
static json_t *skip_id(struct span *rest) {
    const char *begin = rest->data;
    bool is_text = skip(rest, "\"");
    size_t len = 0;

    while (len < rest->len && len < SHORT_ID &&
           (is_text ? rest->data[len] != '"' && rest->data[len] != '\\'
                    : rest->data[len] >= '0' && rest->data[len] <= '9'))
        len++;
    *rest = (struct span){rest->data + len, rest->len - len};
    if (is_text)
        return skip(rest, "\"") ? json_stringn(begin + 1, len) : NULL;
    return len > 0 ? json_integer(strtoll(begin, NULL, 10)) : NULL;
}

/*
 * Answers as this program writes them all begin alike (message.h), with everything that has to be known here: the rest
 * need not be looked at, however long it is. New reference to the id; NULL: it is something else, or written otherwise.
 */
static json_t *read_answer(struct span line, bool *ret_has_result) {
    json_auto_t *id = skip(&line, "{\"jsonrpc\":\"2.0\",\"id\":") ? skip_id(&line) : NULL;

    *ret_has_result = skip(&line, ",\"result\":");
    return id && (*ret_has_result || skip(&line, ",\"error\":")) ? json_incref(id) : NULL;
}

static void take_line(struct relay *relay, struct span line) ON_LOOP {
    CLEANUP(message_fini) struct message message = {0};
    struct theseus_error err = {0};

    if (message_read(line, &message, &err) < 0)
        log_warning("the server says what cannot be read: %s", err.message);
    else if (relay->state == RELAY_GREETING)
        session_take_greeting(relay, &message);
    else if (message.kind == MESSAGE_RESPONSE)
        take_answer(relay, message.id, json_object_get(message.root, "result") != NULL, line);
    else if (message.kind == MESSAGE_NOTIFICATION)
        take_notification(relay, &message, line);
    else if (message.kind == MESSAGE_REQUEST)
        take_question(relay, &message, line);
    else
        take_answers(relay, message.root, line);
}

static void on_line(void *arg, struct span line) {
    struct relay *relay = arg;
    bool has_result = false;

    loop_enter();
    json_auto_t *id = relay->state == RELAY_OPEN ? read_answer(line, &has_result) : NULL;
    if (id)
        take_answer(relay, id, has_result, line);
    else
        take_line(relay, line);
    client_side_pace(relay);
}

static void on_too_long(void *arg) {
    (void)arg;
    log_error("the server says a line that is too long, which is thrown away");
}

static void on_ended(void *arg, const char *failed) {
    struct relay *relay = arg;

    loop_enter();
    if (failed)
        log_info("the server's socket is of no use any more: %s", failed);
    loop_defer(relay->loop, &relay->lost);
}

static void on_taken(void *arg) {
    loop_enter();
    client_side_pace(arg);
}

const struct lines_ops server_side_ops = {
    .line = on_line, .too_long = on_too_long, .ended = on_ended, .taken = on_taken};
