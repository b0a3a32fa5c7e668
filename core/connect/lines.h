/*
 * A peer with whom lines are exchanged: bytes in are cut into lines, lines out are kept until they are taken, and all
 * that were said in one turn of the loop leave in one write.
 */
#pragma once

#include "base/span.h"
#include "conn/stream.h"
#include "loop/loop.h"

struct lines;

struct lines_ops {
    void (*line)(void *arg, struct span line); /* good until it returns; the object may not be freed inside */
    void (*too_long)(void *arg);               /* a line that was thrown away */
    /* The peer says nothing more; `failed` NULL: it has said so itself. Once; the object may be freed inside. */
    void (*ended)(void *arg, const char *failed);
    void (*taken)(void *arg); /* some of what was said has left */
};

/* Takes both descriptors, also on failure; they may be the same one. `out` of a peer that ends stays usable. */
MUST_CHECK int lines_new(struct lines **ret_lines, struct loop *loop, struct stream *in, struct stream *out,
                         size_t max_line, const struct lines_ops *ops, void *arg, struct theseus_error *err) ON_LOOP;
struct lines *lines_free(struct lines *lines) ON_LOOP; /* what was not taken is lost */

void lines_say(struct lines *lines, struct span line) ON_LOOP; /* with its end, or without: it gets one */
void lines_flush(struct lines *lines) ON_LOOP;                 /* now, as far as the peer takes it */
void lines_finish(struct lines *lines) ON_LOOP;                /* a socket: nothing more is said behind what was */
void lines_pause(struct lines *lines, bool pause) ON_LOOP;     /* reads no more for a while */

uint64_t lines_said(const struct lines *lines);    /* bytes, ever */
uint64_t lines_taken(const struct lines *lines);   /* … that have left */
size_t lines_waiting(const struct lines *lines);   /* … that have not */
struct span lines_rest(const struct lines *lines); /* of a line that has not ended */
const struct stream *lines_in(const struct lines *lines);
const struct stream *lines_out(const struct lines *lines);

DEFINE_LOOP_CLEANUP(struct lines *, lines_free)
