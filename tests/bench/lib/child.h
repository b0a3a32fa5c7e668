/* A server under load: started by argv, spoken to over pipes or a UNIX socket pair, measured from outside. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct child {
    pid_t pid;
    int to, from; /* owned; the same descriptor with a socket pair. Writing never blocks, reading does */
};

MUST_CHECK int child_start(struct child *ret_child, char *const argv[], bool socketpair, struct theseus_error *err);

/* Ends its input and reaps it. Fails if it does not leave in time or does not leave with status 0. */
MUST_CHECK int child_stop(struct child *child, struct theseus_error *err);

int64_t child_cpu_ns(const struct child *child); /* of all its threads so far; -1: gone */
long child_rss_kb(const struct child *child);    /* -1: gone */
int child_fds(const struct child *child);        /* open descriptors; -1: gone */

void child_fini_cleanup(struct child *child); /* CLEANUP(child_fini) struct child child = {0}; kills what still runs */
