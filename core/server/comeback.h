/* What an orphaned snapshot brings back: state for the plugins, and a report on the calls that were interrupted. */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "ledger/snapshot.h"
#include "store/history.h"

struct state;

struct comeback {
    char boot_id[SEAL_TEXT_BYTES], version[SEAL_TEXT_BYTES]; /* whose it was */
    int64_t written_ms;
    bool claimed;                 /* there was one, and it is ours now */
    int values, present;          /* of state: brought back, and left alone because there is a newer one */
    json_t *calls;                /* owned: {"tool", "checkpoint", "message"} each */
    int64_t interrupted;          /* calls */
    int refused;                  /* files that were passed over */
    struct theseus_error refusal; /* the first one's reason */
};

/* Claims, and puts the state back. Any thread. An unusable content is set aside. */
MUST_CHECK int comeback_try(struct comeback *comeback, struct snapshot *snapshot, struct state *state,
                            struct theseus_error *err);
void comeback_fini(struct comeback *comeback);

/* The interrupted calls as an event. Borrows from `comeback`. */
struct history_event comeback_event(const struct comeback *comeback);
