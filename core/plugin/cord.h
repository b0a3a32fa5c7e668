/*
 * The socket between the server and the process of an isolated plugin that carries no questions: either side sends an
 * end of a new channel over it, the server the numbers of tools that are gone; and its end is the end of the other.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum { CORD_CHANNEL = 1, CORD_RELEASE = 2, CORD_ENDED = 3 }; /* outcomes of cord_receive() */

MUST_CHECK int cord_pair(int ret_fds[2], struct theseus_error *err);

MUST_CHECK int cord_send_channel(int cord, int channel_fd, struct theseus_error *err); /* which stays the caller's */
MUST_CHECK int cord_send_channel_now(int cord, int channel_fd);                        /* the same, never waits */
MUST_CHECK int cord_send_release(int cord, int64_t tool, struct theseus_error *err);   /* never waits */

/* Waits. CORD_CHANNEL: *ret_fd is the caller's; CORD_RELEASE: *ret_tool. -1: what came is none of that. */
MUST_CHECK int cord_receive(int cord, int *ret_fd, int64_t *ret_tool, struct theseus_error *err);
