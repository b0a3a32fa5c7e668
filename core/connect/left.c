#include "connect/left.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "connect/inner.h"

bool left_is_possible(const struct relay *relay) {
    if (relay->state != RELAY_OPEN || relay->client_ended || relay->over || !list_empty(&relay->asks.held))
        return false;
    list_for_each (link, (struct list *)&relay->asks.sent) {
        const struct asked *asked = list_entry(link, struct asked, link);
        if (!asked->is_listen || !asked->is_heard || asked->sent_at > lines_taken(relay->server))
            return false;
    }
    return map_count(relay->questions) == 0 && lines_waiting(relay->client) == 0 && lines_waiting(relay->server) == 0 &&
           lines_rest(relay->client).len == 0 && lines_rest(relay->server).len == 0;
}

/* ---- leaving ---- */

static json_t *listens_new(const struct relay *relay) {
    json_t *listens = json_array();

    list_for_each (link, (struct list *)&relay->asks.sent) {
        const struct asked *asked = list_entry(link, struct asked, link);
        json_array_append_new(listens,
                              json_pack("{s:O, s:s%}", "id", asked->id, "line", asked->text->data, asked->text->len));
    }
    return listens;
}

static json_t *handshake_new(const struct handshake *handshake) {
    return json_pack("{s:O?, s:O?, s:O?, s:b, s:b, s:i}", "initialize", handshake->initialize, "log_level",
                     handshake->log_level, "resources", handshake->resources, "agreed", handshake->agreed,
                     "initialized", handshake->initialized, "replays", handshake->replays);
}

json_t *left_new(const struct relay *relay) {
    const struct stream *in = lines_in(relay->client), *out = lines_out(relay->client);

    return json_pack("{s:i, s:b, s:i, s:b, s:i, s:s, s:s, s:I, s:I, s:o, s:o}", "in", in->fd, "in_blocks", in->blocks,
                     "out", out->fd, "out_blocks", out->blocks, "server", lines_in(relay->server)->fd, "session",
                     relay->session, "secret", relay->secret, "received", (json_int_t)relay->received, "acknowledged",
                     (json_int_t)relay->acknowledged, "listens", listens_new(relay), "handshake",
                     handshake_new(&relay->handshake));
}

void left_keep_open(const struct relay *relay, bool keep) {
    const int fds[] = {lines_in(relay->client)->fd, lines_out(relay->client)->fd, lines_in(relay->server)->fd};

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void)fcntl(fds[i], F_SETFD, keep ? 0 : FD_CLOEXEC);
}

/* ---- coming back ---- */

static int number(const json_t *left, const char *name) {
    return (int)json_integer_value(json_object_get(left, name));
}

static char *text(const json_t *left, const char *name) {
    const char *value = json_string_value(json_object_get(left, name));

    return xstrdup(value ? value : "");
}

static json_t *value_new(const json_t *object, const char *name) {
    json_t *value = json_object_get(object, name);

    return json_is_null(value) ? NULL : json_incref(value);
}

static void restore_handshake(struct handshake *handshake, const json_t *left) {
    handshake->initialize = value_new(left, "initialize");
    handshake->log_level = value_new(left, "log_level");
    handshake->resources = value_new(left, "resources");
    handshake->agreed = json_is_true(json_object_get(left, "agreed"));
    handshake->initialized = json_is_true(json_object_get(left, "initialized"));
    handshake->replays = number(left, "replays");
}

static int restore_listens(struct relay *relay, const json_t *listens, struct theseus_error *err) ON_LOOP {
    const json_t *item;
    size_t i;

    json_array_foreach (listens, i, item) {
        const json_t *line = json_object_get(item, "line");
        struct asked_text *kept = asked_text_new((struct span){json_string_value(line), json_string_length(line)});
        if (!kept)
            return fail(err, ERR_MEMORY, "no memory for what the client listens to");
        struct asked *asked = asks_add(&relay->asks, json_object_get(item, "id"), kept, loop_now_ms(relay->loop));
        asked_text_drop(kept);
        asked->reads = asked->is_listen = asked->is_heard = true;
        asks_set_sent(&relay->asks, asked, 0);
    }
    return 0;
}

int left_restore(struct relay *relay, const json_t *left, struct theseus_error *err) {
    struct stream in, out, server;

    if (stream_adopt(&in, number(left, "in"), STREAM_READ, json_is_true(json_object_get(left, "in_blocks")), err) < 0 ||
        stream_adopt(&out, number(left, "out"), STREAM_WRITE, json_is_true(json_object_get(left, "out_blocks")), err) <
            0 ||
        stream_adopt(&server, number(left, "server"), STREAM_READ, false, err) < 0)
        return -1;
    if (lines_new(&relay->client, relay->loop, &in, &out, relay->options.config->limits.max_line, &client_side_ops,
                  relay, err) < 0 ||
        lines_new(&relay->server, relay->loop, &server, &server, SIZE_MAX / 2, &server_side_ops, relay, err) < 0)
        return -1;
    relay->session = text(left, "session");
    relay->secret = text(left, "secret");
    relay->received = (uint64_t)json_integer_value(json_object_get(left, "received"));
    relay->acknowledged = (uint64_t)json_integer_value(json_object_get(left, "acknowledged"));
    relay->had_session = true;
    relay->state = RELAY_OPEN;
    restore_handshake(&relay->handshake, json_object_get(left, "handshake"));
    return restore_listens(relay, json_object_get(left, "listens"), err);
}
