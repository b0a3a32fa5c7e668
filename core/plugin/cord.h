/*
 * The socket between the server and the process of an isolated plugin that carries no questions: either side sends an
 * end of a new channel over it, the server the numbers of tools that are gone, the process that its memory comes to an
 * end, and its last words when it crashes; and its end is the end of the other.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/crash_note.h"
#include "base/error.h"

/* A process that crashes says where. What it says need not be true. */
struct cord_crash {
    struct crash_note note;
    uint64_t memory; /* bytes of address space in use */
    int32_t error;   /* errno of the thread */
    int32_t unused;
};

/* Outcomes of cord_receive(), and which of its parts they fill in. */
enum {
    CORD_CHANNEL = 1, /* fd, which is the receiver's */
    CORD_RELEASE = 2, /* tool */
    CORD_ENDED = 3,
    CORD_CRASHED = 4, /* crash */
    CORD_SHORT = 5,   /* of memory */
};

struct cord_news {
    int fd;
    int64_t tool;
    struct cord_crash crash;
};

MUST_CHECK int cord_pair(int ret_fds[2], struct theseus_error *err);

MUST_CHECK int cord_send_channel(int cord, int channel_fd, struct theseus_error *err); /* which stays the caller's */
MUST_CHECK int cord_send_channel_now(int cord, int channel_fd);                        /* the same, never waits */
MUST_CHECK int cord_send_release(int cord, int64_t tool, struct theseus_error *err);   /* never waits */
/* Likewise, and async-signal-safe: what cannot be sent is not known there, and that is all. */
void cord_send_crash(int cord, const struct cord_crash *crash);
void cord_send_short(int cord);

/* Is there something to receive within that time? Negative: for ever. */
bool cord_wait(int cord, int ms);
/* Waits. -1: what came is none of these. */
MUST_CHECK int cord_receive(int cord, struct cord_news *ret_news, struct theseus_error *err);
