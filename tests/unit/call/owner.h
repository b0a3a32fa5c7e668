/* Who receives calls: writes down what is said for them, as a connection would send it. */
#pragma once

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "call/keep.h"
#include "config/load.h"
#include "loop/until.h"
#include "rpc/jsontext.h"

struct owner {
    struct loop *loop;
    struct ledger *ledger;
    int answers;     /* calls that ended with a line; under the gate, as the next three */
    int silent;      /* calls that ended without one */
    int dropped;     /* ends that came too late */
    struct buf said; /* all lines */
};

static inline bool owner_finish(struct call *call, struct batch *batch, struct buf *line) {
    struct owner *owner = call->owner;

    ledger_enter(call->ledger);
    bool open = atomic_exchange(&call->state, CALL_OVER) == CALL_OPEN;
    if (open && ledger_commit_locked(call->ledger, batch, NULL) < 0)
        abort();
    if (open && line && line->len && buf_append(&owner->said, buf_span(line), NULL) < 0)
        abort();
    owner->answers += open && line && line->len;
    owner->silent += open && !(line && line->len);
    owner->dropped += !open;
    ledger_leave(call->ledger);
    return open;
}

static inline void owner_notify(struct call *call, struct buf *line) {
    struct owner *owner = call->owner;

    ledger_enter(call->ledger);
    if (!call_is_over(call) && buf_append(&owner->said, buf_span(line), NULL) < 0)
        abort();
    ledger_leave(call->ledger);
}

static inline bool owner_park(struct call *call, struct loop_task *resume) {
    (void)call;
    (void)resume;
    return false;
}

static const struct call_ops owner_ops = {.finish = owner_finish, .notify = owner_notify, .park = owner_park};

static inline struct owner *owner_new(void) {
    struct owner *owner = xcalloc(1, sizeof(*owner));

    owner->loop = loop_new();
    owner->ledger = ledger_new();
    return owner;
}

static inline void owner_free_cleanup(struct owner **owner) {
    loop_enter();
    (*owner)->ledger = ledger_free((*owner)->ledger);
    (*owner)->loop = loop_free((*owner)->loop);
    buf_fini(&(*owner)->said);
    free(*owner);
}

/* A call that was accepted: its request is recorded. */
static inline struct call *owner_call_new(struct owner *owner, const char *text, uint64_t offset) {
    const struct request_record record = {1, offset, 0, span_of(text), 0};
    struct call *call = call_new(&owner_ops, owner, owner->ledger, owner->loop);
    struct message message;

    assert_int_equal(message_read(span_of(text), &message, NULL), 0);
    call_set_message(call, &message);
    call_set_key(call, (struct call_key){1, offset, 0}, "boot");
    call->revision = revision_newest_legacy();
    call->max_result = 1 << 20;
    assert_int_equal(ledger_put(owner->ledger, &request_kind, &record, NULL), 0);
    return call;
}

#define OWNER_REQUEST "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{\"progressToken\":\"t\"}}}"

/* What was said since the last time, as one text. Owned. */
static inline char *owner_said(struct owner *owner) {
    ledger_enter(owner->ledger);
    char *text = buf_take_string(&owner->said);
    ledger_leave(owner->ledger);
    assert_non_null(text);
    return text;
}
