/*
 * Requests of several kinds at a steady rate each, and the judge of their answers: each is answered once and rightly,
 * or counted under what is wrong with it. An error is explained if it says what has become of the call; none of these
 * tools gives another one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

enum mixed_kind {
    MIXED_ECHO,    /* on the loop thread */
    MIXED_VERSION, /* on a worker, at once; says which build answers */
    MIXED_SLOW,    /* on a worker, for 40 ms */
    MIXED_BATCH,   /* resumable: three calls, 10 ms */
    MIXED_PING,
    MIXED_RESTART, /* sent by mixed_restart() */
    MIXED_KINDS
};

struct mixed_stats {
    unsigned sent, answered, doubled, wrong;
    unsigned interrupted, unexplained; /* errors that say what has become of the call; others */
    char first_fault[300];             /* of doubled, wrong and unexplained ones; empty: there is none */
};

struct mixed;

struct mixed *mixed_new(void);
struct mixed *mixed_free(struct mixed *mixed);

/* `per_second` of each kind (0: none) from now on. */
void mixed_set_rates(struct mixed *mixed, const unsigned per_second[static MIXED_RESTART], int64_t now);
/* Appends what is due; says when the next is. */
MUST_CHECK int mixed_send(struct mixed *mixed, struct buf *out, int64_t now, int64_t *ret_next,
                          struct theseus_error *err);
MUST_CHECK int mixed_restart(struct mixed *mixed, struct buf *out, int64_t now, struct theseus_error *err);

/* One line, without its newline. */
void mixed_receive(struct mixed *mixed, struct span line, int64_t now);

/* What the last restart's call was answered with, once; new reference. NULL: nothing yet. */
json_t *mixed_take_report(struct mixed *mixed);
int mixed_version(const struct mixed *mixed); /* the build that gave the latest MIXED_VERSION answer: 0, 1; -1: none */

struct mixed_stats mixed_stats(const struct mixed *mixed);

/* Between two answers to pings: the longest time since mixed_watch(), and the usual one. */
void mixed_watch(struct mixed *mixed);
int64_t mixed_longest_gap(const struct mixed *mixed);
double mixed_usual_gap_us(const struct mixed *mixed);
/* From sending to answer: the longest of all tool calls, restarts aside. */
int64_t mixed_longest_call(const struct mixed *mixed);

DEFINE_CLEANUP(struct mixed *, mixed_free)
