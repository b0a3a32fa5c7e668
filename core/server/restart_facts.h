/* What is known of a restart, by either of its two images: in memory, and as the record that goes from one to the
 * other. */
#pragma once

#include <jansson.h>

#include "call/call.h"
#include "ledger/ledger.h"
#include "server/phase.h"
#include "store/asker.h"

struct restart_facts {
    enum phase phase;
    struct call_key key; /* the request that asked; conn 0: none */
    unsigned flags;      /* enum restart_flags */
    char *reason;        /* texts are owned; NULL: not known */
    char *asker;         /* JSON */
    char *boot_before, *version_before;
    char *error;  /* why the new image gave up */
    char *lost;   /* what was left behind on the way */
    char *cause;  /* why the server restarts by itself */
    char *report; /* it is over, and who asked is answered with that */
    int64_t started_ms, started_ns, timeout_ms, stopped_ns, held_ns, suspend_ns;
    uint64_t attempt, requests_held, calls_interrupted, bytes_carried;
};

void facts_fini(struct restart_facts *facts);

MUST_CHECK int facts_record(const struct restart_facts *facts, struct ledger *ledger, struct theseus_error *err);
/* False: there is no record. */
bool facts_read(struct restart_facts *ret_facts, struct ledger *ledger);

/* `asker` as JSON text; owned. And back: the texts are those of `ret_texts`, which the caller frees. */
char *facts_pack_asker(const struct asker *asker, const char *session);
json_t *facts_unpack_asker(const struct restart_facts *facts, struct asker *ret_asker);

static inline bool facts_has_call(const struct restart_facts *facts) {
    return facts->key.conn > 0;
}

/* Is it the one that asked? */
static inline bool facts_is_call(const struct restart_facts *facts, const struct call *call) {
    const struct call_key *key = &call->key;

    return facts_has_call(facts) && key->conn == facts->key.conn && key->offset == facts->key.offset &&
           key->index == facts->key.index;
}
