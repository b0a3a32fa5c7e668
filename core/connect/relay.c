#include "connect/relay.h"

#include <stdlib.h>

#include "conn/stream.h"
#include "connect/inner.h"
#include "connect/left.h"

static void on_leaving(void *arg) {
    loop_enter();
    relay_end(arg, 0);
}

void relay_end(struct relay *relay, int status) {
    if (relay->over)
        return;
    relay->over = true;
    relay->status = status;
    loop_stop(relay->loop);
}

void relay_leave(struct relay *relay) {
    client_side_say_bye(relay);
    if (relay->server)
        lines_flush(relay->server);
    relay_end(relay, 0);
}

static int open_client(struct relay *relay, int in, int out, struct theseus_error *err) ON_LOOP {
    struct stream from = {.fd = -1}, to = {.fd = -1};

    if (stream_open(&from, in, STREAM_READ, err) < 0)
        return -1;
    if (stream_open(&to, out, STREAM_WRITE, err) < 0) {
        stream_close(&from);
        return -1;
    }
    return lines_new(&relay->client, relay->loop, &from, &to, relay->options.config->limits.max_line, &client_side_ops,
                     relay, err);
}

int relay_new(struct relay **ret_relay, struct loop *loop, const struct relay_options *options, int in, int out,
              const json_t *left, struct theseus_error *err) {
    CLEANUP(relay_free) struct relay *relay = xcalloc(1, sizeof(*relay));

    relay->loop = loop;
    relay->options = *options;
    relay->questions = map_new();
    asks_init(&relay->asks);
    relay->lost = (struct loop_task){.run = session_lost, .arg = relay};
    relay->greeting = timer_new(loop, session_give_up_greeting, relay);
    relay->expiry = timer_new(loop, client_side_expire, relay);
    relay->ack = timer_new(loop, server_side_send_ack, relay);
    relay->leaving = timer_new(loop, on_leaving, relay);
    relay->retry = retry_new(loop, options->socket, session_try, relay);
    if (options->starts)
        relay->launch = launch_new(loop, options->program, options->source, options->socket, session_launched, relay);
    if ((left ? left_restore(relay, left, err) : open_client(relay, in, out, err)) < 0)
        return -1;
    if (!relay->server)
        retry_soon(relay->retry);
    *ret_relay = TAKE_PTR(relay);
    return 0;
}

struct relay *relay_free(struct relay *relay) {
    if (!relay)
        return NULL;
    loop_forget(relay->loop, &relay->lost);
    relay->launch = launch_free(relay->launch);
    relay->retry = retry_free(relay->retry);
    relay->server = lines_free(relay->server);
    relay->client = lines_free(relay->client);
    relay->greeting = timer_free(relay->greeting);
    relay->expiry = timer_free(relay->expiry);
    relay->ack = timer_free(relay->ack);
    relay->leaving = timer_free(relay->leaving);
    asks_fini(&relay->asks);
    handshake_fini(&relay->handshake);
    relay->questions = map_free(relay->questions);
    free(relay->session);
    free(relay->secret);
    free(relay->why);
    free(relay);
    return NULL;
}
