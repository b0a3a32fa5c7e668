/* The ledger's parts, for its own files. */
#pragma once

#include <pthread.h>

#include "ledger/compact.h"
#include "ledger/ledger.h"

struct ledger {
    struct journal journal;
    pthread_mutex_t lock; /* of the fold; the gate may be taken inside it, never the other way round */
    struct fold fold;
    _Atomic int watch; /* enum ledger_watch */
    ledger_touched_fn *touched;
    void *touched_arg;
};

enum ledger_watch { WATCH_NONE, WATCH_ARMED, WATCH_TOUCHED };

/* That batch was committed. */
static inline void ledger_note(struct ledger *ledger, const struct batch *batch) {
    int armed = WATCH_ARMED;

    if (batch->carried && atomic_load_explicit(&ledger->watch, memory_order_relaxed) == WATCH_ARMED)
        (void)atomic_compare_exchange_strong(&ledger->watch, &armed, WATCH_TOUCHED);
}

/* Records that lie still: they are not dropped until ledger_unpin(). The fold is at the end of the journal. */
size_t ledger_pin(struct ledger *ledger, uint16_t kind, struct item **ret_items, int *ret_pin);
void ledger_unpin(struct ledger *ledger, int pin);

/* What is to be done outside of the gate from time to time: a little of it, if there is any. */
void ledger_tend(struct ledger *ledger);
