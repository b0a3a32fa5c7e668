/* The clients' connections as the ledger has them, and whether they could be gone on with. */
#pragma once

#include <jansson.h>

#include "base/thread.h"
#include "ledger/ledger.h"

/*
 * One object per connection: {conn, session_id, client{…} or null, transport, state, reachable, notifiable}, and
 * `reason` where it is not reachable. state: "active", "disconnected". `awaited`: it has no
 * stream, and may be taken over by another one. New reference.
 */
json_t *sessions_new(struct ledger *ledger);

/*
 * All that is recorded of each connection, number to object; long things by their hash. It is what one image of the
 * program tells of a ledger, to be compared with what another one tells. New reference.
 */
json_t *sessions_digest_new(struct ledger *ledger);

/* A ledger with the records of all connections and nothing else: a descriptor of the caller's. Meanwhile other threads
 * may end calls: `ret_digest` (a new reference) is of what was copied. */
MUST_CHECK int sessions_copy(struct ledger *ledger, int *ret_fd, json_t **ret_digest, struct theseus_error *err);

/* What `theseus --read-sessions` does: prints the digest of the ledger behind stdin. Returns the exit status. */
int sessions_read_command(void);
