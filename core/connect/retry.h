/*
 * When to look for a server again: at once, then in growing steps with some chance in them (so that many clients do not
 * come in the same moment), and whenever something stirs where its socket lies.
 */
#pragma once

#include "loop/loop.h"

struct retry;

enum { RETRY_FIRST_MS = 1000, RETRY_MOST_MS = 30000 };

/* `path`: of the socket. `fn`: try now. */
struct retry *retry_new(struct loop *loop, const char *path, loop_fn *fn, void *arg) ON_LOOP;
struct retry *retry_free(struct retry *retry) ON_LOOP;

void retry_soon(struct retry *retry) ON_LOOP;   /* in this turn's end or the next one's; the steps begin anew */
void retry_failed(struct retry *retry) ON_LOOP; /* the next step */
/* A server comes or goes at this moment: after 20 ms, then twice that … 1 s; the steps begin anew behind that. */
void retry_shortly(struct retry *retry) ON_LOOP;
void retry_rest(struct retry *retry) ON_LOOP; /* there is a server: no more tries */
bool retry_runs(const struct retry *retry);

/* The step behind `before` (0: the first), without its chance. Pure. */
int64_t retry_step_ms(int64_t before);

DEFINE_LOOP_CLEANUP(struct retry *, retry_free)
