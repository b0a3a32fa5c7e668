/*
 * Between one client, on stdin and stdout, and a server, on its socket. The client is not to notice when the server is
 * restarted, replaced, or killed and started again: what it asks meanwhile is kept, and each of its requests gets
 * exactly one answer – the server's, or an explicit error where it cannot be known what became of it.
 *
 * A session with the server outlives the socket: on a new one it is resumed (wire.h), and the server says what became
 * of each request that has no answer. Where the session is not known any more, a new one is begun: the handshake is
 * said again, what only reads is asked again, and whatever may have been executed is answered with an error.
 */
#pragma once

#include "config/config.h"
#include "connect/asked.h"
#include "connect/handshake.h"
#include "connect/launch.h"
#include "connect/lines.h"
#include "connect/retry.h"
#include "loop/timer.h"

enum relay_state {
    RELAY_AWAY,     /* there is no socket */
    RELAY_GREETING, /* nothing but the greeting is said */
    RELAY_OPEN,
};

struct relay_options {
    const char *program, *socket, *directory; /* borrowed */
    const struct config_source *source;       /* borrowed: for a server that is started */
    const struct config *config;              /* borrowed */
    bool starts;                              /* a server where none runs */
};

struct relay {
    struct loop *loop;
    struct relay_options options;
    enum relay_state state;
    struct lines *client;         /* owned */
    struct lines *server;         /* owned; NULL: away */
    struct retry *retry;          /* owned */
    struct launch *launch;        /* owned; NULL: not asked to */
    struct timer *greeting;       /* owned: for the answer to it */
    struct timer *expiry, *ack;   /* owned */
    struct timer *leaving;        /* owned: the client has gone */
    struct loop_task lost;        /* the socket is of no use */
    char *session, *secret, *why; /* owned; NULL: there is none. why: the last reason for being away */
    uint64_t received, acknowledged;
    struct asks asks;
    struct handshake handshake;
    struct map *questions; /* ids of the server's requests, as keys; the values are nothing */
    bool had_session;      /* the client has been served before */
    bool rebuffed;         /* the server has answered the greeting, and not as it should */
    bool client_ended, over;
    int status;
};

/* `in` and `out` are borrowed descriptors. `left`: what an image before has left (left.h); NULL: nothing. */
MUST_CHECK int relay_new(struct relay **ret_relay, struct loop *loop, const struct relay_options *options, int in,
                         int out, const json_t *left, struct theseus_error *err) ON_LOOP;
struct relay *relay_free(struct relay *relay) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct relay *, relay_free)
