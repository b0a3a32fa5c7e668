/*
 * What the client has asked for and no answer was passed for, in the order in which it asked: with the text, for as
 * long as it may have to be sent again. Notifications of the client stand among them while nobody takes them.
 */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/span.h"

/* A line of the client's; an array of requests is one line with many of them. */
struct asked_text {
    int refs;
    size_t len;
    char data[];
};

enum asked_fate {
    ASKED_HELD, /* no byte of it has been given to a server */
    ASKED_SENT, /* a server may have it */
};

struct asked {
    struct list link;
    json_t *id;              /* owned; NULL: no answer is expected, and it leaves when it is sent */
    struct asked_text *text; /* a reference */
    enum asked_fate fate;
    bool reads;         /* nothing is done for it but telling: it may be asked again */
    bool is_listen;     /* a subscription: its answer is its end */
    bool is_heard;      /* … whose acknowledgement the client has had */
    bool is_initialize; /* of a legacy client */
    bool is_response;   /* of the client, to a request of that very session */
    int doubled;        /* requests with the same id beside it: the client's fault, and the server's to say so */
    uint64_t sent_at;   /* bytes said to the present server up to its end */
    int64_t since_ms;   /* loop's clock: held since then */
};

struct asks {
    struct list sent, held; /* struct asked::link, owned; all that is held came later than what is sent */
    struct map *ids;        /* id → struct asked, borrowed: the first of an id */
    size_t held_count;      /* requests among those held */
    size_t bytes;           /* of lines, each counted for each that stands in it */
    struct buf key;         /* scratch */
};

void asks_init(struct asks *asks);
void asks_fini(struct asks *asks);

struct asked_text *asked_text_new(struct span line); /* one reference; NULL: no memory */
void asked_text_drop(struct asked_text *text);

/* Adds one, with a reference of its own to `text`. `id` borrowed; NULL: see above. One that is there already is counted
 * as doubled, and returned. */
struct asked *asks_add(struct asks *asks, const json_t *id, struct asked_text *text, int64_t now_ms);
struct asked *asks_find(struct asks *asks, const json_t *id); /* NULL: none */
void asks_drop(struct asks *asks, struct asked *asked);

/* It goes to the end of those that are sent; one without an id leaves. */
void asks_set_sent(struct asks *asks, struct asked *asked, uint64_t sent_at);
/* Back to the front of those that are held. */
void asks_set_held(struct asks *asks, struct asked *asked, int64_t now_ms);

/* The ids of all that are sent, in order: new reference. */
json_t *asks_sent_ids_new(const struct asks *asks);
