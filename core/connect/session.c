/* From one socket to the next: finding a server, greeting it, and what becomes of what was asked before. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "connect/dial.h"
#include "connect/inner.h"

enum { GREETING_MS = 30000 }; /* longer than a restart may take, which keeps the socket and answers behind it */

static void set_why(struct relay *relay, const char *why) {
    if (relay->why && strcmp(relay->why, why) == 0)
        return;
    log_info("%s", why);
    free(relay->why);
    relay->why = xstrdup(why);
}

/* ---- finding one ---- */

static void greet(struct relay *relay, const char *session) ON_LOOP {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};
    json_auto_t *unanswered = asks_sent_ids_new(&relay->asks);

    relay->state = RELAY_GREETING;
    relay->rebuffed = false;
    if (wire_write_greeting(relay->options.directory, session, relay->secret, unanswered, relay->received, &line,
                            &err) < 0) {
        log_error("%s", err.message);
        relay_end(relay, 1);
        return;
    }
    lines_say(relay->server, buf_span(&line));
    timer_start(relay->greeting, GREETING_MS, 0);
}

static int open_lines(struct relay *relay, int fd, struct theseus_error *err) ON_LOOP {
    struct stream stream = {.fd = fd, .socket = true};

    return lines_new(&relay->server, relay->loop, &stream, &stream, SIZE_MAX / 2, &server_side_ops, relay, err);
}

void session_try(void *arg) {
    struct relay *relay = arg;
    struct theseus_error err = {0};

    loop_enter();
    if (relay->server || relay->over)
        return;
    int fd = dial(relay->options.socket, &err);
    if (fd >= 0 && open_lines(relay, fd, &err) == 0) {
        greet(relay, relay->session);
        return;
    }
    set_why(relay, err.message);
    if (fd < 0 && relay->launch && !launch_try(relay->launch))
        retry_shortly(relay->retry);
    else
        retry_failed(relay->retry);
}

/* A server that cannot be started says why at once, to everybody who waits; later ones are tried for anew. */
void session_launched(void *arg, const char *failed) {
    struct relay *relay = arg;

    loop_enter();
    if (!failed) {
        if (!relay->server)
            session_try(relay);
        return;
    }
    CLEANUP(free) char *why = xasprintf("the server cannot be started: %s", failed);
    set_why(relay, why);
    client_side_refuse_held(relay);
    if (relay->client_ended)
        client_side_leave(relay);
}

/* ---- losing it ---- */

/* What had certainly not left as a whole, no server has accepted. */
static void take_back_unsent(struct relay *relay) ON_LOOP {
    uint64_t taken = lines_taken(relay->server);
    struct list *link = relay->asks.sent.prev;

    while (link != &relay->asks.sent) {
        struct asked *asked = list_entry(link, struct asked, link);
        link = link->prev;
        if (asked->sent_at > taken)
            asks_set_held(&relay->asks, asked, loop_now_ms(relay->loop));
        else
            asked->sent_at = 0; /* the next socket's bytes are counted anew, and it may go before it is greeted */
    }
}

static void close_server(struct relay *relay) ON_LOOP {
    timer_stop(relay->greeting);
    relay->server = lines_free(relay->server);
    relay->state = RELAY_AWAY;
    client_side_expire(relay);
}

void session_lost(void *arg) {
    struct relay *relay = arg;
    bool was_open = relay->state == RELAY_OPEN;

    loop_enter();
    if (!relay->server)
        return;
    take_back_unsent(relay);
    close_server(relay);
    if (relay->client_ended) {
        client_side_leave(relay);
        return;
    }
    if (was_open)
        log_info("the server has gone; looking for another one");
    if (was_open)
        retry_soon(relay->retry);
    else if (relay->rebuffed)
        retry_failed(relay->retry);
    else
        retry_shortly(relay->retry); /* it listened, and was gone before it could answer */
}

void session_give_up_greeting(void *arg) {
    struct relay *relay = arg;

    loop_enter();
    set_why(relay, "the server does not answer the greeting");
    if (!relay->server)
        return;
    close_server(relay);
    retry_failed(relay->retry);
}

/* ---- finding out what became of things ---- */

static void set_fate(struct relay *relay, struct asked *asked, const char *fate) ON_LOOP {
    bool is_uncertain = !fate || strcmp(fate, "uncertain") == 0;

    if (is_uncertain && !asked->reads)
        client_side_uncertain(relay, asked);
    else if (is_uncertain || strcmp(fate, "never seen") == 0)
        asks_set_held(&relay->asks, asked, loop_now_ms(relay->loop));
}

/* From the last to the first, so that what is to be sent again is so in its order. */
static void take_fates(struct relay *relay, const json_t *fates) ON_LOOP {
    for (size_t i = json_array_size(fates); i-- > 0;) {
        const json_t *fate = json_array_get(fates, i), *id = json_object_get(fate, "id");
        struct asked *asked = id ? asks_find(&relay->asks, id) : NULL;
        if (asked && asked->fate == ASKED_SENT)
            set_fate(relay, asked, json_string_value(json_object_get(fate, "fate")));
    }
}

/* To a session that knows nothing of what came before. */
static void begin_anew(struct relay *relay) ON_LOOP {
    bool asks_initialize = false;
    struct list *link = relay->asks.sent.prev;

    while (link != &relay->asks.sent) {
        struct asked *asked = list_entry(link, struct asked, link);
        link = link->prev;
        if (asked->reads)
            asks_set_held(&relay->asks, asked, loop_now_ms(relay->loop));
        else
            client_side_uncertain(relay, asked);
    }
    list_for_each (held, &relay->asks.held) {
        struct asked *asked = list_entry(held, struct asked, link);
        asks_initialize |= asked->is_initialize;
        if (asked->is_response)
            asks_drop(&relay->asks, asked); /* to a question of the session that is over */
    }
    relay->questions = map_free(relay->questions);
    relay->questions = map_new();
    if (!asks_initialize)
        handshake_replay(&relay->handshake, relay->server);
}

/* Its tools may be others; a modern client's subscriptions are told when they are opened again. */
static void tell_changes(struct relay *relay) ON_LOOP {
    static const char *const lists[] = {"notifications/tools/list_changed", "notifications/resources/list_changed"};

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        CLEANUP(buf_fini) struct buf line = {0};
        if (relay->handshake.initialized && message_write_notification(lists[i], NULL, &line, NULL) == 0)
            lines_say(relay->client, buf_span(&line));
    }
}

static void take_session(struct relay *relay, const struct wire_greeting *greeting) ON_LOOP {
    free(relay->session);
    free(relay->secret);
    relay->session = xstrdup(greeting->session);
    relay->secret = xstrdup(greeting->secret);
    relay->received = relay->acknowledged = 0;
    begin_anew(relay);
    if (relay->had_session)
        tell_changes(relay);
    relay->had_session = true;
}

static void open_for_client(struct relay *relay) ON_LOOP {
    relay->state = RELAY_OPEN;
    timer_stop(relay->greeting);
    retry_rest(relay->retry);
    free(TAKE_PTR(relay->why));
    client_side_send_held(relay);
    if (relay->client_ended)
        client_side_leave(relay);
}

void session_take_greeting(struct relay *relay, const struct message *message) {
    struct wire_greeting greeting;
    struct theseus_error err = {0};

    if (wire_read_greeting(message, &greeting, &err) < 0) {
        set_why(relay, err.message);
        relay->rebuffed = true;
        loop_defer(relay->loop, &relay->lost);
        return;
    }
    switch (greeting.answer) {
    case WIRE_HELLO:
        take_session(relay, &greeting);
        open_for_client(relay);
        break;
    case WIRE_RESUME:
        relay->acknowledged = relay->received;
        take_fates(relay, greeting.fates);
        open_for_client(relay);
        break;
    case WIRE_REFUSED:
        set_why(relay, greeting.why);
        if (relay->session) {
            free(TAKE_PTR(relay->session));
            greet(relay, NULL);
        } else {
            client_side_refuse_held(relay);
            relay->rebuffed = true;
            loop_defer(relay->loop, &relay->lost);
        }
        break;
    }
}
