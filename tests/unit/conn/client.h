/*
 * A client at the other end of a connection, and somebody who answers what it asks.
 *
 * What is asked decides how it is answered: "now" at once; "late" when a "flush" comes, which answers all that wait,
 * the latest first, and then itself; "hold" when the test says so; "listen" stays open; "big" says as much as `len`
 * asks for. "ping" is urgent, and whatever says so.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "config/load.h"
#include "conn/inner.h"
#include "loop/until.h"
#include "rpc/jsontext.h"

enum { CLIENT_WAITING = 4096 };

struct client {
    struct loop *loop;
    struct ledger *ledger;
    struct config *config; /* owned; may be changed in place */
    const struct config *present;
    struct conn_ops ops;
    struct conn_host host;
    struct conn_shared *shared; /* owned */
    struct conn *conn;
    int server_in, server_out;                                /* what the connection was given */
    int to, from;                                             /* the client's own ends; -1: closed */
    struct buf got;                                           /* what came and is not looked at yet */
    struct call *late[CLIENT_WAITING], *hold[CLIENT_WAITING]; /* a reference each */
    size_t late_count, hold_count;
    int asked, notified, responses, closed, ended, starved;
    bool patient; /* there will be memory again */
};

static inline json_t *client_result_new(const struct call *call) {
    json_t *id = json_object_get(call->message.params, "n");

    return json_pack("{s:s, s:O*}", "method", call->method, "n", id);
}

static inline void client_answer(struct call *call) {
    call_answer(call, client_result_new(call));
    (void)call_unref(call);
}

static inline void client_flush(struct client *client) {
    while (client->late_count > 0)
        client_answer(client->late[--client->late_count]);
}

/* Answers what was asked with "hold", the oldest first. */
static inline void client_let_go(struct client *client) {
    for (size_t i = 0; i < client->hold_count; i++)
        client_answer(client->hold[i]);
    client->hold_count = 0;
}

static inline void client_on_big(struct call *call) {
    size_t len = (size_t)json_integer_value(json_object_get(call->message.params, "len"));
    CLEANUP(free) char *text = xcalloc(len + 1, 1);

    memset(text, 'x', len);
    call_answer(call, json_pack("{s:s}", "text", text));
}

static inline void client_on_listen(struct conn *conn, struct call *call) {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    loop_enter();
    if (conn_listen(conn, call, LISTEN_TOOLS, NULL, &err) < 0) {
        call_fail(call, &err, NULL);
        return;
    }
    assert_int_equal(message_write_notification("listening", NULL, &line, NULL), 0);
    conn_say(conn, &line);
}

static inline void client_prepare(void *arg, struct conn *conn, struct call *call) {
    (void)arg;
    loop_enter();
    call->revision = conn_session(conn)->revision ? conn_session(conn)->revision : revision_newest_legacy();
    call->max_result = 8 << 20;
}

static inline void client_on_request(void *arg, struct conn *conn, struct call *call) {
    struct client *client = arg;
    const char *method = call->method;

    client->asked++;
    client_prepare(arg, conn, call);
    loop_enter();
    if (strcmp(method, "late") == 0 || json_is_true(json_object_get(call->message.params, "late"))) {
        client->late[client->late_count++] = call_ref(call);
    } else if (strcmp(method, "hold") == 0) {
        client->hold[client->hold_count++] = call_ref(call);
    } else if (strcmp(method, "listen") == 0) {
        client_on_listen(conn, call);
    } else if (strcmp(method, "big") == 0) {
        client_on_big(call);
    } else {
        const char *name = json_string_value(json_object_get(call->message.params, "revision"));
        if (strcmp(method, "initialize") == 0)
            session_begin(conn_session(conn), revision_negotiate(name ? name : ""), NULL, NULL);
        if (strcmp(method, "initialize") == 0)
            conn_session_changed(conn);
        if (strcmp(method, "flush") == 0)
            client_flush(client);
        call_answer(call, client_result_new(call));
    }
}

static inline bool client_is_urgent(void *arg, const struct message *message) {
    (void)arg;
    return strcmp(message->method, "ping") == 0 || json_is_true(json_object_get(message->params, "urgent"));
}

static inline void client_on_notification(void *arg, struct conn *conn, const struct message *message) {
    (void)conn;
    (void)message;
    ((struct client *)arg)->notified++;
}

static inline void client_on_response(void *arg, struct conn *conn, const struct message *message) {
    (void)conn;
    (void)message;
    ((struct client *)arg)->responses++;
}

static inline void client_on_closed(void *arg, struct conn *conn) {
    (void)conn;
    ((struct client *)arg)->closed++;
}

static inline bool client_on_starved(void *arg, struct conn *conn) {
    struct client *client = arg;

    loop_enter();
    (void)conn;
    client->starved++;
    return client->patient;
}

static inline void client_on_ended(void *arg, struct conn *conn) {
    (void)conn;
    ((struct client *)arg)->ended++;
}

/* Everything but the connection and its descriptors. */
static inline struct client *client_made(void) {
    struct client *client = xcalloc(1, sizeof(*client));
    struct said said;

    client->loop = loop_new();
    client->ledger = ledger_new();
    client->config = load_text("", &said);
    assert_non_null(client->config);
    client->present = client->config;
    client->ops = (struct conn_ops){
        .is_urgent = client_is_urgent,
        .request = client_on_request,
        .listening = client_prepare,
        .notification = client_on_notification,
        .response = client_on_response,
        .closed = client_on_closed,
        .ended = client_on_ended,
        .starved = client_on_starved,
    };
    assert_int_equal(conn_shared_new(&client->shared, NULL), 0);
    client->host = (struct conn_host){client->loop, client->ledger, &client->present, "boot",
                                      &client->ops, client,         client->shared};
    client->server_in = client->server_out = client->to = client->from = -1;
    return client;
}

static inline void client_open(struct client *client) {
    struct theseus_error err = {0};

    loop_enter();
    if (conn_open(&client->conn, &client->host, 1, client->server_in, client->server_out, "stdio", &err) < 0)
        print_error("%s\n", err.message);
    assert_non_null(client->conn);
    conn_start(client->conn);
}

static inline void client_unblock(int fd) {
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* One descriptor in both directions, as parents on Node give it. */
static inline struct client *client_on_socket(void) {
    struct client *client = client_made();
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    client->server_in = client->server_out = pair[0];
    client->to = client->from = pair[1];
    client_unblock(pair[1]);
    return client;
}

/* A pipe each way, as Python gives them, of the least size. */
static inline struct client *client_on_pipes(void) {
    struct client *client = client_made();
    int in[2], out[2];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_true(fcntl(out[1], F_SETPIPE_SZ, 4096) >= 4096);
    client->server_in = in[0];
    client->to = in[1];
    client->from = out[0];
    client->server_out = out[1];
    client_unblock(in[1]);
    client_unblock(out[0]);
    return client;
}

static inline void client_forget_calls(struct client *client) {
    for (size_t i = 0; i < client->late_count; i++)
        (void)call_unref(client->late[i]);
    for (size_t i = 0; i < client->hold_count; i++)
        (void)call_unref(client->hold[i]);
    client->late_count = client->hold_count = 0;
}

/* The connection is thrown away, and made again from its records. */
static inline void client_restart(struct client *client) {
    struct theseus_error err = {0};

    loop_enter();
    client->conn = conn_free(client->conn);
    client_forget_calls(client);
    if (conn_restore(&client->conn, &client->host, 1, client->server_in, client->server_out, &err) < 0)
        print_error("%s\n", err.message);
    assert_non_null(client->conn);
    conn_start(client->conn);
}

/* The same as an exec does it: the descriptors are those of the records. */
static inline int client_readopt(struct client *client, struct theseus_error *err) {
    int in = client->conn->in.fd, out = client->conn->out.fd, kept[2] = {dup(in), dup(out)};

    loop_enter();
    client->conn = conn_free(client->conn);
    client_forget_calls(client);
    assert_true(dup2(kept[0], in) >= 0 && dup2(kept[1], out) >= 0);
    (void)close(kept[0]);
    (void)close(kept[1]);
    return conn_restore(&client->conn, &client->host, 1, -1, -1, err);
}

static inline void client_exec(struct client *client) {
    struct theseus_error err = {0};

    loop_enter();
    if (client_readopt(client, &err) < 0)
        print_error("%s\n", err.message);
    assert_non_null(client->conn);
    conn_start(client->conn);
}

static inline void client_hang_up(struct client *client) {
    if (client->to >= 0 && client->to == client->from)
        assert_int_equal(shutdown(client->to, SHUT_WR), 0);
    else if (client->to >= 0)
        (void)close(client->to);
    if (client->to != client->from)
        client->to = -1;
}

static inline void client_fini_cleanup(struct client **held) {
    struct client *client = *held;

    loop_enter();
    client->conn = conn_free(client->conn);
    client_forget_calls(client);
    if (client->from >= 0)
        (void)close(client->from);
    if (client->to >= 0 && client->to != client->from)
        (void)close(client->to);
    (void)close(client->server_in);
    if (client->server_out != client->server_in)
        (void)close(client->server_out);
    buf_fini(&client->got);
    client->ledger = ledger_free(client->ledger);
    client->config = config_free(client->config);
    client->loop = loop_free(client->loop);
    client->shared = conn_shared_free(client->shared);
    free(client);
}

/* What can be had at this moment, up to `max` bytes. */
static inline size_t client_take(struct client *client, size_t max) {
    size_t taken = 0;

    while (taken < max) {
        size_t part = max - taken < 65536 ? max - taken : 65536;
        char *room = buf_reserve(&client->got, part);
        ssize_t n = read(client->from, room, part);
        if (n <= 0)
            break;
        buf_added(&client->got, (size_t)n);
        taken += (size_t)n;
    }
    return taken;
}

static inline bool client_has_line(struct client *client) {
    struct span got = buf_span(&client->got);

    return got.len && memchr(got.data, '\n', got.len);
}

/* Sends all of it, turning the loop where the server must read first. */
static inline void client_send_bytes(struct client *client, struct span bytes) {
    while (bytes.len > 0) {
        ssize_t n = write(client->to, bytes.data, bytes.len);
        assert_true(n > 0 || errno == EAGAIN);
        if (n > 0)
            bytes = (struct span){bytes.data + n, bytes.len - (size_t)n};
        loop_enter();
        if (n <= 0)
            (void)loop_turn(client->loop, 1);
    }
}

static inline void client_send(struct client *client, const char *text) {
    client_send_bytes(client, span_of(text));
}

/* The loop turns until nothing more happens by itself. */
static inline void client_settle(struct client *client) {
    loop_enter();
    for (int quiet = 0; quiet < 3;)
        quiet = loop_turn(client->loop, 0) ? 0 : quiet + 1;
}

/* The next line that came, as JSON; waits for it. New reference. */
static inline json_t *client_next_new(struct client *client) {
    until(client->loop, client_take(client, SIZE_MAX) + client_has_line(client) > 0 && client_has_line(client));
    struct span got = buf_span(&client->got);
    size_t len = (size_t)((const char *)memchr(got.data, '\n', got.len) - got.data);
    struct theseus_error err = {0};

    json_t *line = jsontext_read((struct span){got.data, len}, &err);
    if (!line)
        print_error("%.*s: %s\n", (int)len, got.data, err.message);
    assert_non_null(line);
    buf_consume(&client->got, len + 1, 65536);
    return line;
}

/* Nothing (more) comes, whatever the loop still does. */
static inline void client_says_nothing(struct client *client) {
    client_settle(client);
    (void)client_take(client, SIZE_MAX);
    if (client->got.len)
        print_error("unexpected: %.*s\n", (int)client->got.len, buf_span(&client->got).data);
    assert_int_equal(client->got.len, 0);
}

static inline void client_gets(struct client *client, const char *expected) {
    json_auto_t *line = client_next_new(client);
    json_auto_t *wanted = json_loads(expected, 0, NULL);

    assert_non_null(wanted);
    if (!json_equal(line, wanted)) {
        CLEANUP(free) char *text = json_dumps(line, JSON_COMPACT);
        print_error("got %s\nnot %s\n", text, expected);
    }
    assert_true(json_equal(line, wanted));
}

/* An error with that code for that id (as JSON; NULL: without one). */
static inline void client_gets_error(struct client *client, const char *id, int code) {
    json_auto_t *line = client_next_new(client);
    json_auto_t *wanted = id ? json_loads(id, JSON_DECODE_ANY, NULL) : NULL;
    const json_t *given = json_object_get(line, "id");

    if (json_integer_value(json_object_get(json_object_get(line, "error"), "code")) != code) {
        CLEANUP(free) char *text = json_dumps(line, JSON_COMPACT);
        print_error("got %s\nnot error %d\n", text, code);
    }
    assert_int_equal(json_integer_value(json_object_get(json_object_get(line, "error"), "code")), code);
    assert_true(id ? json_equal(given, wanted) : !given);
}

/* `{"jsonrpc":"2.0","id":ID,"result":{"method":METHOD}}` */
static inline void client_gets_result(struct client *client, const char *id, const char *method) {
    CLEANUP(free) char *text = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"method\":\"%s\"}}", id, method);

    client_gets(client, text);
}

static inline void client_asks(struct client *client, const char *id, const char *method) {
    CLEANUP(free) char *text = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"%s\"}\n", id, method);

    client_send(client, text);
}

static inline void client_cancels(struct client *client, const char *id) {
    CLEANUP(free)
    char *text =
        xasprintf("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%s}}\n", id);

    client_send(client, text);
}
