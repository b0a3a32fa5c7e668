/*
 * What a legacy client has agreed on with the server by its first messages: said again to a server that does not know
 * it, without the client seeing another answer. A modern client says all of it in each request.
 */
#pragma once

#include <jansson.h>

#include "base/mem.h"
#include "connect/lines.h"
#include "rpc/message.h"

#define OWN_ID "theseus:" /* ids that begin so are ours, and no client's */

struct handshake {
    json_t *initialize; /* owned: params; NULL: there was none */
    json_t *log_level;  /* owned: params; NULL: none is set */
    json_t *resources;  /* owned: URI → params, of resources/subscribe */
    bool agreed;        /* the client has had a result */
    bool initialized;   /* and has said so */
    int replays;
};

void handshake_fini(struct handshake *handshake);

/* The client says this; anything else than the handshake is ignored. */
void handshake_note(struct handshake *handshake, const struct message *message);
/* How its `initialize` was answered. */
void handshake_answered(struct handshake *handshake, bool has_result);

/* To a server that knows nothing of it. */
void handshake_replay(struct handshake *handshake, struct lines *server) ON_LOOP;
