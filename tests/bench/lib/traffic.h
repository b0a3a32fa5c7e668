/*
 * Calls of one tool, and the judge of their answers.
 *
 * Each request has an id and a text of its own. Every answer is checked completely: right id, not answered before,
 * right text, nothing else in it. To be much faster than what is measured, the judge parses the first answer and
 * remembers its bytes around the id and the text; a later answer with the same bytes and its own id and text is right,
 * and only one that differs is parsed again.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

enum { TRAFFIC_VARIANTS = 2 };

/* What is called: `tool` with its one argument `argument`; a right answer is the argument behind one of the prefixes.
 */
struct tool_call {
    const char *tool, *argument;
    const char *prefixes[TRAFFIC_VARIANTS]; /* the second may be NULL */
    bool fixed;                             /* the answer's text is always that of the first: the floor program */
};

struct traffic;

/* At most `count` requests, each with a text of `payload` bytes. */
struct traffic *traffic_new(struct tool_call call, unsigned count, size_t payload);
struct traffic *traffic_free(struct traffic *traffic);

/* Appends the next request (ids begin at 1) to `out`; its time begins at `now`. */
MUST_CHECK int traffic_send(struct traffic *traffic, struct buf *out, int64_t now, struct theseus_error *err);

/* Judges one line without its newline. Returns 0 with id and prefix, or -1: lost, doubled or wrong. */
MUST_CHECK int traffic_receive(struct traffic *traffic, struct span line, int64_t now, unsigned *ret_id,
                               int *ret_variant, struct theseus_error *err);

unsigned traffic_sent(const struct traffic *traffic);
unsigned traffic_answered(const struct traffic *traffic);
int64_t traffic_sent_at(const struct traffic *traffic, unsigned id);
int64_t traffic_latency(const struct traffic *traffic, unsigned id); /* ns; -1: not answered */

DEFINE_CLEANUP(struct traffic *, traffic_free)
