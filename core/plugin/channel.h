/*
 * Questions and answers over a socket, in both directions: how the server and the process of an isolated plugin call
 * each other.
 *
 * A message is its length (4 bytes, the machine's order: both ends are on it) and a JSON object. It asks ({"ask": VERB,
 * …}, to which {"answer": …} or {"error": TEXT} comes back), or it only tells ({"tell": VERB, …}). Whoever waits for an
 * answer serves what the other side asks meanwhile, on the same thread: a call and all that its handler wants of the
 * host take one channel and two threads. A channel belongs to one thread at a time.
 *
 * The other side is not trusted: what is no such message ends the channel.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"

struct channel {
    struct list link; /* for whoever keeps it while nobody asks on it */
    int fd;           /* owned */
    struct buf in;    /* what was read and is not a whole message yet */
    struct buf out;   /* what is being sent, or held */
    bool drained;     /* the last read that may not wait has found less than it could take */
};

/* Whoever uses a channel for a while. */
struct channel_user {
    /* What the other side asks (new reference: the answer, as the channel_…_new below make it) or tells (NULL). */
    json_t *(*serve)(void *arg, struct channel *channel, const char *verb, const json_t *message);
    /* Optional, every CHANNEL_PATIENCE_MS while nothing moves: is it over? */
    bool (*gives_up)(void *arg);
    void *arg;
};

/* Outcomes: the other side has gone; the user has lost patience; the other side refuses, or the message cannot be sent
 * (and was not), and err says why. */
enum { CHANNEL_ENDED = 1, CHANNEL_GIVEN_UP = 2, CHANNEL_REFUSED = 3 };
/* Of those that never wait: there is nothing. */
enum { CHANNEL_NOTHING = 4 };
enum { CHANNEL_PATIENCE_MS = 100, CHANNEL_MESSAGE_MAX = 64 << 20 };

/* Two ends. The first is ours and does not wait for ever; the other side makes a channel of the second. */
MUST_CHECK int channel_pair(struct channel **ret_channel, int *ret_other, struct theseus_error *err);
struct channel *channel_new(int fd); /* takes it */
struct channel *channel_free(struct channel *channel);

/* 0 with the answer (new reference; NULL: JSON null), an outcome, or -1: the other side cannot be understood, and the
 * channel is of no use any more. */
MUST_CHECK int channel_ask(struct channel *channel, json_t *question, const struct channel_user *user,
                           json_t **ret_answer, struct theseus_error *err); /* steals question */
MUST_CHECK int channel_tell(struct channel *channel, json_t *message, const struct channel_user *user,
                            struct theseus_error *err); /* steals */

/* The same, but it goes with the next message, in one piece. 0, or CHANNEL_REFUSED. */
MUST_CHECK int channel_hold(struct channel *channel, json_t *message, struct theseus_error *err); /* steals */

/* Serves until the other side goes (0), or cannot be understood (-1). */
MUST_CHECK int channel_serve(struct channel *channel, const struct channel_user *user, struct theseus_error *err);

/*
 * For a thread that never waits. Sending: 0, or -1: nothing or not all of it was sent, for it is longer than `longest`
 * or the other side does not read. Receiving: 0 with one message (new reference), CHANNEL_NOTHING, CHANNEL_ENDED, or
 * -1.
 */
MUST_CHECK int channel_send_now(struct channel *channel, json_t *message, size_t longest); /* steals */
MUST_CHECK int channel_receive_now(struct channel *channel, json_t **ret_message, struct theseus_error *err);
bool channel_is_answer(const json_t *message);
/* One message that asks or tells; an outcome or -1. */
MUST_CHECK int channel_serve_one(struct channel *channel, const struct channel_user *user, const json_t *message,
                                 struct theseus_error *err);
MUST_CHECK int channel_serve_now(struct channel *channel, const struct channel_user *user, const json_t *message);
int channel_fd(const struct channel *channel);

json_t *channel_answer_new(json_t *value);                        /* steals; NULL: JSON null */
json_t *channel_error_new(const char *text);                      /* refuses */
json_t *channel_text_new(const char *text);                       /* a JSON string, mended where it is no UTF-8 */
const char *channel_text(const json_t *message, const char *key); /* borrowed; NULL: there is none */

DEFINE_CLEANUP(struct channel *, channel_free)
