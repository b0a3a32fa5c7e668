/* The lines of core/conn/protocol.h that `theseus connect` says, and the answers to them. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/mem.h"
#include "rpc/message.h"

enum wire_answer { WIRE_HELLO, WIRE_RESUME, WIRE_REFUSED };

struct wire_greeting {
    enum wire_answer answer;
    const char *session, *secret; /* borrowed from the message; hello */
    const json_t *fates;          /* borrowed; resume */
    char why[256];                /* refused */
};

/* Lines with their ends, appended to `out`. `session` NULL: hello; else resume, with what follows. */
MUST_CHECK int wire_write_greeting(const char *directory, const char *session, const char *secret, json_t *unanswered,
                                   uint64_t received, struct buf *out, struct theseus_error *err);
MUST_CHECK int wire_write_ack(uint64_t received, struct buf *out, struct theseus_error *err);
MUST_CHECK int wire_write_bye(struct buf *out, struct theseus_error *err);

/* -1: that is no answer to a greeting of ours. */
MUST_CHECK int wire_read_greeting(const struct message *message, struct wire_greeting *ret_greeting,
                                  struct theseus_error *err);
