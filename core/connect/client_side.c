/* What the client says: kept, noted and passed on. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "connect/inner.h"
#include "rpc/revision.h"

enum {
    LEAVE_MS = 1500, /* hosts wait two seconds for what they have started, then they kill it */
    ACK_MANY = 16,   /* answers that are acknowledged before the next line is sent */
};

/* Methods by which nothing is done but telling: they may be asked twice. In their order. */
static const char *const reading[] = {
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/get",
    "tools/list",
};

static int compare(const void *method, const void *one) {
    return strcmp(method, *(const char *const *)one);
}

static bool only_reads(const char *method) {
    return bsearch(method, reading, ARRAY_SIZE(reading), sizeof(reading[0]), compare) != NULL;
}

void client_side_refuse(struct relay *relay, struct asked *asked, const struct theseus_error *error,
                        const json_t *data) {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    if (message_write_error(asked->id, error, data, &line, &err) < 0)
        log_error("a request cannot be answered: %s", err.message);
    else
        lines_say(relay->client, buf_span(&line));
    asks_drop(&relay->asks, asked);
}

void client_side_uncertain(struct relay *relay, struct asked *asked) {
    struct theseus_error error = {0};
    json_auto_t *data = json_pack("{s:b}", "may_have_executed", 1);

    (void)fail(&error, ERR_INTERNAL,
               "the server went away while it had this request, and the one that is there now does not know it: it may "
               "have been executed; look before you ask again");
    client_side_refuse(relay, asked, &error, data);
}

void client_side_pace(struct relay *relay) {
    size_t waiting = (relay->server ? lines_waiting(relay->server) : 0) + relay->asks.bytes;

    lines_pause(relay->client, relay->client_ended || waiting > relay->options.config->limits.max_buffered);
    if (relay->server)
        lines_pause(relay->server, lines_waiting(relay->client) > relay->options.config->limits.max_buffered);
}

/* ---- sending ---- */

void client_side_send_held(struct relay *relay) {
    struct asked *first;

    if (relay->received - relay->acknowledged >= ACK_MANY)
        server_side_send_ack(relay);
    while ((first = list_first(&relay->asks.held, struct asked, link))) {
        struct asked_text *text = first->text;
        text->refs++;
        lines_say(relay->server, (struct span){text->data, text->len});
        for (struct asked *asked = first; asked && asked->text == text;
             asked = list_first(&relay->asks.held, struct asked, link))
            asks_set_sent(&relay->asks, asked, lines_said(relay->server)); /* all that stand in that line */
        asked_text_drop(text);
    }
}

/* ---- keeping, while there is nobody to send it to ---- */

static void refuse_expired(struct relay *relay, struct asked *asked) ON_LOOP {
    struct theseus_error error = {0};

    (void)fail(&error, ERR_TIMEOUT,
               "no server has answered at '%s' for %d s (buffer.buffer_expiration): %s; this request was not executed",
               relay->options.socket, relay->options.config->buffer.buffer_expiration,
               relay->why ? relay->why : "it went away");
    client_side_refuse(relay, asked, &error, NULL);
}

void client_side_expire(void *arg) {
    struct relay *relay = arg;
    int64_t limit = relay->options.config->buffer.buffer_expiration * INT64_C(1000), now = loop_now_ms(relay->loop);
    struct asked *asked;

    loop_enter();
    if (limit == 0)
        return;
    while ((asked = list_first(&relay->asks.held, struct asked, link)) && now - asked->since_ms >= limit) {
        if (asked->id)
            refuse_expired(relay, asked);
        else
            asks_drop(&relay->asks, asked);
    }
    if (asked)
        timer_start(relay->expiry, asked->since_ms + limit - now + 1, 0);
    client_side_pace(relay);
}

/* Is there room for so many more requests that nobody takes? */
static bool may_keep(const struct relay *relay, size_t count) {
    return relay->state == RELAY_OPEN ||
           relay->asks.held_count + count <= (size_t)relay->options.config->buffer.max_buffer_size;
}

static void refuse_more(struct relay *relay, const json_t *id) ON_LOOP {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error error = {0};

    (void)fail(&error, ERR_BUSY,
               "there is no server at present, and %zu requests wait for it already (buffer.max_buffer_size); this one "
               "was not executed: ask again later",
               relay->asks.held_count);
    if (message_write_error(id, &error, NULL, &line, NULL) == 0)
        lines_say(relay->client, buf_span(&line));
}

/* ---- what comes ---- */

/* Ours are the server's business, and would be taken for ours when they come back. */
static bool refuses_id(struct relay *relay, const json_t *id) ON_LOOP {
    const char *text = json_string_value(id);
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error error = {0};

    if (!text || strncmp(text, OWN_ID, strlen(OWN_ID)) != 0)
        return false;
    (void)fail(&error, ERR_REQUEST, "ids that begin with '" OWN_ID "' are reserved: use another one");
    if (message_write_error(id, &error, NULL, &line, NULL) == 0)
        lines_say(relay->client, buf_span(&line));
    return true;
}

static struct asked *keep(struct relay *relay, const json_t *id, struct asked_text *text) ON_LOOP {
    return asks_add(&relay->asks, id, text, loop_now_ms(relay->loop));
}

static void take_request(struct relay *relay, const struct message *message, struct asked_text *text) ON_LOOP {
    if (!revision_is_claimed(message->params))
        handshake_note(&relay->handshake, message);
    struct asked *asked = keep(relay, message->id, text);
    if (asked->doubled > 0) {
        (void)keep(relay, NULL, text); /* it goes the same way, and the server answers it for what it is */
        return;
    }
    asked->reads = only_reads(message->method);
    asked->is_listen = strcmp(message->method, "subscriptions/listen") == 0;
    asked->is_initialize = strcmp(message->method, "initialize") == 0;
}

/* True: that is all that has to be done, because no server has it yet. */
static bool take_cancellation(struct relay *relay, const struct message *message) ON_LOOP {
    struct asked *asked = asks_find(&relay->asks, json_object_get(message->params, "requestId"));

    if (!asked)
        return false;
    bool was_held = asked->fate == ASKED_HELD;
    bool is_array = asked->text->len > 0 && asked->text->data[0] == '[';
    asks_drop(&relay->asks, asked);
    return was_held && !is_array;
}

static void take_notification(struct relay *relay, const struct message *message, struct asked_text *text) ON_LOOP {
    handshake_note(&relay->handshake, message);
    if (strcmp(message->method, "notifications/cancelled") == 0 && take_cancellation(relay, message))
        return;
    (void)keep(relay, NULL, text);
}

static void take_response(struct relay *relay, const struct message *message, struct asked_text *text) ON_LOOP {
    CLEANUP(buf_fini) struct buf key = {0};

    if (message_id_key(message->id, &key, NULL) < 0 || !map_take(relay->questions, buf_span(&key)))
        return; /* to a question that is of no interest any more */
    keep(relay, NULL, text)->is_response = true;
}

/* Reads one message of an array; false: it is none. */
static bool read_item(const json_t *item, struct message *message) {
    return message_read_json(json_incref((json_t *)item), message, NULL) == 0;
}

/* How many requests are in it? With `refuses`, each is answered with an error. */
static size_t count_array(struct relay *relay, const json_t *array, bool refuses) ON_LOOP {
    const json_t *item;
    size_t i, count = 0;

    json_array_foreach (array, i, item) {
        CLEANUP(message_fini) struct message message = {0};
        if (!read_item(item, &message) || message.kind != MESSAGE_REQUEST)
            continue;
        count++;
        if (refuses)
            refuse_more(relay, message.id);
    }
    return count;
}

static void take_array(struct relay *relay, const json_t *array, struct asked_text *text) ON_LOOP {
    const json_t *item;
    size_t i;

    if (!may_keep(relay, count_array(relay, array, false))) {
        (void)count_array(relay, array, true);
        return;
    }
    json_array_foreach (array, i, item) {
        CLEANUP(message_fini) struct message message = {0};
        if (!read_item(item, &message))
            continue;
        if (message.kind == MESSAGE_REQUEST)
            take_request(relay, &message, text);
        else if (message.kind == MESSAGE_NOTIFICATION)
            handshake_note(&relay->handshake, &message);
    }
    (void)keep(relay, NULL, text); /* it goes even if nothing in it waits for an answer */
}

static void take_message(struct relay *relay, const struct message *message, struct asked_text *text) ON_LOOP {
    switch (message->kind) {
    case MESSAGE_REQUEST:
        if (refuses_id(relay, message->id))
            break;
        if (may_keep(relay, 1))
            take_request(relay, message, text);
        else
            refuse_more(relay, message->id);
        break;
    case MESSAGE_NOTIFICATION:
        take_notification(relay, message, text);
        break;
    case MESSAGE_RESPONSE:
        take_response(relay, message, text);
        break;
    case MESSAGE_ARRAY:
        take_array(relay, message->root, text);
        break;
    }
}

/* The server finds the words for what is wrong with it, and answers under its id if no other request has that. */
static void take_unread(struct relay *relay, const json_t *id, struct asked_text *text) ON_LOOP {
    if (id && refuses_id(relay, id))
        return;
    struct asked *asked = keep(relay, id && !asks_find(&relay->asks, id) ? id : NULL, text);
    asked->reads = true;
}

static void on_line(void *arg, struct span line) {
    struct relay *relay = arg;
    CLEANUP(message_fini) struct message message = {0};
    struct asked_text *text = asked_text_new(line);

    loop_enter();
    if (!text) {
        log_error("no memory for a line of %zu bytes from the client", line.len);
        relay_end(relay, 1);
        return;
    }
    if (message_read(line, &message, NULL) == 0)
        take_message(relay, &message, text);
    else
        take_unread(relay, message.id, text);
    asked_text_drop(text);
    if (relay->state == RELAY_OPEN)
        client_side_send_held(relay);
    else
        client_side_expire(relay);
    client_side_pace(relay);
}

static void on_too_long(void *arg) {
    struct relay *relay = arg;
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error error = {0};

    loop_enter();
    (void)fail(&error, ERR_LIMIT, "a line is longer than %zu bytes (limits.max_line)",
               relay->options.config->limits.max_line);
    if (message_write_error(NULL, &error, NULL, &line, NULL) == 0)
        lines_say(relay->client, buf_span(&line));
}

/* ---- leaving ---- */

/* Of the list's requests each is answered by `end`, and leaves. */
static void end_all(struct relay *relay, struct list *list, void (*end)(struct relay *, struct asked *)) ON_LOOP {
    list_for_each (link, list) {
        struct asked *asked = list_entry(link, struct asked, link);
        if (asked->id)
            end(relay, asked);
        else
            asks_drop(&relay->asks, asked);
    }
}

static void not_executed(struct relay *relay, struct asked *asked) {
    struct theseus_error error = {0};

    loop_enter();
    (void)fail(&error, ERR_INTERNAL, "no server answers at '%s': %s; this request was not executed",
               relay->options.socket, relay->why ? relay->why : "it went away");
    client_side_refuse(relay, asked, &error, NULL);
}

static void uncertain(struct relay *relay, struct asked *asked) {
    loop_enter();
    client_side_uncertain(relay, asked);
}

void client_side_refuse_held(struct relay *relay) {
    end_all(relay, &relay->asks.held, not_executed);
}

void client_side_say_bye(struct relay *relay) {
    CLEANUP(buf_fini) struct buf bye = {0};

    if (relay->state == RELAY_OPEN && wire_write_bye(&bye, NULL) == 0)
        lines_say(relay->server, buf_span(&bye));
}

/* What was asked is still answered, for as long as hosts wait. */
void client_side_leave(struct relay *relay) {
    relay->client_ended = true;
    timer_start(relay->leaving, LEAVE_MS, 0);
    client_side_pace(relay);
    if (relay->state == RELAY_AWAY && !(relay->launch && launch_runs(relay->launch))) {
        client_side_refuse_held(relay);
        end_all(relay, &relay->asks.sent, uncertain);
        lines_flush(relay->client);
        relay_end(relay, 0);
    } else if (relay->state == RELAY_OPEN) {
        client_side_say_bye(relay);
        lines_finish(relay->server);
    }
}

static void on_ended(void *arg, const char *failed) {
    struct relay *relay = arg;

    loop_enter();
    if (failed)
        relay_leave(relay); /* nobody takes an answer any more */
    else
        client_side_leave(relay);
}

static void on_taken(void *arg) {
    loop_enter();
    client_side_pace(arg);
}

const struct lines_ops client_side_ops = {
    .line = on_line, .too_long = on_too_long, .ended = on_ended, .taken = on_taken};
