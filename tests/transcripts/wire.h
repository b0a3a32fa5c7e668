/* Bytes to and from the server, and the lines that have come. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/list.h"

struct peer;

struct arrival {
    struct list link; /* in wire.inbox */
    json_t *json;     /* owned */
    char *text;       /* owned */
    int group;        /* the last group of expectations that it was held against */
};

struct wire {
    struct peer *peer;  /* borrowed */
    struct buf out, in; /* not yet written; not yet a line */
    struct list inbox;  /* arrival::link, owned: came, and no expectation has taken it yet */
    bool deaf;          /* nothing is read */
    bool ended;         /* the server has closed its output */
    bool broken;        /* the server does not read any more */
};

void wire_init(struct wire *wire, struct peer *peer);
void wire_fini(struct wire *wire);
struct arrival *arrival_free(struct arrival *arrival);

MUST_CHECK int wire_send(struct wire *wire, struct span bytes, struct theseus_error *err); /* queues */

/* Moves what can be moved, after waiting for that at most so long. A line that is not JSON is an error. */
MUST_CHECK int wire_pump(struct wire *wire, int timeout_ms, struct theseus_error *err);
/* Moves bytes to the server only, and does not wait. */
void wire_push(struct wire *wire);
