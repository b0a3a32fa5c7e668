/*
 * What a client has still to be sent, in order. Its offsets are those of the connection's output stream. Every function
 * but chunk_new() is called under the ledger's gate: any thread may add, the loop takes away.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/list.h"

/* One line (or what is left of it after a restart). */
struct chunk {
    struct list link;
    uint64_t offset; /* of its first byte */
    size_t len;
    char *data;   /* owned */
    bool answers; /* a request, and is kept until that is confirmed */
};

struct outbox {
    struct list chunks;    /* chunk::link, owned */
    size_t count;          /* of the chunks */
    uint64_t written, end; /* stream offsets: what has left, what was added */
    struct list kept;      /* chunk::link, owned: answers that have left and are not confirmed, in order */
    size_t kept_count, kept_bytes;
    uint64_t acknowledged; /* answers that were confirmed, since the beginning */
};

struct chunk *chunk_new(struct buf *line); /* takes the content; NULL: no memory, the content stays */
struct chunk *chunk_free(struct chunk *chunk);

void outbox_init(struct outbox *outbox, uint64_t written);
void outbox_fini(struct outbox *outbox);

void outbox_add(struct outbox *outbox, struct chunk *chunk); /* takes it; sets its offset */
int outbox_parts(const struct outbox *outbox, struct iovec *parts,
                 int max); /* what to write next; returns their number */
void outbox_wrote(struct outbox *outbox, size_t count);
struct chunk *outbox_take_done(struct outbox *outbox); /* the first chunk if it has left as a whole, else NULL */

void outbox_keep(struct outbox *outbox, struct chunk *chunk); /* takes one that has left */
/* The first one that is kept, confirmed now; NULL: none is. */
struct chunk *outbox_acknowledge(struct outbox *outbox);

/* What it costs: short lines cost more than their bytes (a chunk, its allocation, its record). */
size_t outbox_cost(const struct outbox *outbox);      /* of all */
size_t outbox_cost_left(const struct outbox *outbox); /* of what has still to be written */

static inline size_t outbox_bytes(const struct outbox *outbox) {
    return (size_t)(outbox->end - outbox->written);
}

DEFINE_CLEANUP(struct chunk *, chunk_free)
