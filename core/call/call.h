/*
 * A call: one request from the moment it is accepted until it is answered.
 *
 * It lies between the connections, which receive calls, and those who answer them (methods, plugins): neither knows the
 * other. Whatever happens – a result, an error, a time-out, a cancellation, on whatever thread – a call is over exactly
 * once: `ops->finish` decides under the ledger's gate who was first, and publishes the answer and the end of the
 * request as one fact.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include <theseus/plugin.h>

#include "base/list.h"
#include "base/thread.h"
#include "ledger/ledger.h"
#include "loop/loop.h"
#include "rpc/message.h"
#include "rpc/revision.h"

struct call;
struct timer;

/* Where in which stream the request was read: its identity, also across restarts. */
struct call_key {
    uint64_t conn, offset, index;
};

/* How a call reaches its client; filled by whoever received it. */
struct call_ops {
    /*
     * Mandatory. Any thread. If the call is still open: it is over now, `batch` is committed and `line` (NULL: nothing
     * is said) goes out, together. Returns false if it was over already; then nothing happened. Takes the content of
     * `line`.
     */
    bool (*finish)(struct call *call, struct batch *batch, struct buf *line);
    /* Mandatory. Any thread. A notification about an open call; dropped when it is over, or the client does not read.
     */
    void (*notify)(struct call *call, struct buf *line);
    /*
     * Mandatory. Any thread. Has the client so much unread output that no more work should be done for it now? Then
     * `resume` is posted to the loop when there is room again, and true is returned. `resume` NULL: only asks.
     */
    bool (*park)(struct call *call, struct loop_task *resume);
    /* Optional. Any thread. The call is no more: its owner is not asked for anything by it again. */
    void (*release)(void *owner);
};

/* Keeps the checkpoints of a call where they outlive the process, too. */
struct call_journal {
    /* Any thread. From here on the call's next attempt, in whatever process, begins there; `inner`: inner calls that
     * had ended by then. -1: that is not so, and neither does an earlier one hold. */
    int (*checkpoint)(struct call_journal *journal, struct span state, uint64_t inner, struct theseus_error *err);
    void (*unref)(struct call_journal *journal); /* the call's reference */
};

enum call_state { CALL_OPEN, CALL_OVER };

/* How far an open tool call has got; what a restart does with it depends on that. */
enum call_stage {
    CALL_HELD,      /* no handler was entered by this image: it has had no effect */
    CALL_RUNNING,   /* a handler is at work, or will answer later */
    CALL_SUSPENDED, /* its handler made a checkpoint, and returned without an answer because it was asked to */
};

/* May a handler of this image be entered? */
enum call_entry { ENTRY_FREE, ENTRY_TAKEN, ENTRY_BARRED };

struct call {
    atomic_int refs;
    const struct call_ops *ops;
    void *owner;           /* of ops */
    struct list link;      /* in one of the owner's lists; loop */
    struct list over_link; /* in the owner's list of those that are over; under the gate */
    struct ledger *ledger;
    struct loop *loop;
    struct call_key key;
    char key_text[96];               /* for theseus_call_key() */
    struct message message;          /* its root may be given away while the call is held: see text */
    struct span text;                /* the request's line, borrowed from the input, while it is being accepted */
    size_t held;                     /* what it counts for while it is held; 0: it is not */
    char *held_text;                 /* owned: the line, when the message was given away */
    json_t *id;                      /* owned */
    char *method;                    /* owned */
    const struct revision *revision; /* what the answer is shaped for; set before it is dispatched */
    json_t *server_info;             /* owned reference, to one that is not counted: threads share it */
    size_t max_result;               /* bytes of the answer's line */
    int64_t accepted_ns;
    uint64_t attempts;                      /* times a handler was entered before this image */
    uint64_t crashes;                       /* at how many crashes a handler of it was at work … */
    uint64_t crashes_counted;               /* … and the attempt that was counted last */
    atomic_int state;                       /* enum call_state; changed under the gate */
    atomic_int stage;                       /* enum call_stage; said by the plugin floor */
    atomic_uint tool_flags;                 /* of the tool that it runs, as in plugin.h; likewise */
    atomic_bool has_checkpoint;             /* one was recorded, by this image or an earlier one */
    _Atomic(struct call_journal *) journal; /* owned; NULL: none. Set once */
    atomic_int entry;                       /* enum call_entry */
    atomic_bool detached;                   /* it was answered with a task, and goes on; changed under the gate */
    bool adopted;                           /* begun in another process: its client and its key are that one's */
    bool cacheable; /* its result says how long a client may keep it; set before it is dispatched */
    bool has_steps; /* its progress is kept as text, too; set before it is dispatched */
    bool urgent;    /* not to be kept waiting by other work; set when it is accepted */
    atomic_bool cancelled, suspending;
    atomic_uint_fast64_t inner_calls, inner_ended; /* counted on from the last checkpoint when it is run again */
    /* Optional: makes another result of a tool's; false: what it says is an error instead. Set before it is dispatched.
     */
    bool (*reshape)(struct call *call, json_t **result, struct theseus_error *err, json_t **ret_data);
    json_t *shape;          /* owned: of whoever set that */
    atomic_bool said_error; /* the handler itself has answered with an error */
    struct timer *deadline; /* owned, loop */
    void *deadline_arg;     /* owned, likewise */
    json_t *progress_token; /* owned; NULL: none */
    double last_progress;   /* under the progress lock of call.c */
    int64_t last_progress_ns, said_until_ns;
    char *step;                        /* owned, under the progress lock: the last progress, in words */
    int ends;                          /* last steps that passed the limit on progress */
    int log_level;                     /* least level that the client wants; -1: none */
    json_t *resume;                    /* owned: the last checkpoint */
    struct theseus_client_info client; /* its texts: owned by client_text */
    char *client_text[5];
};

struct call *call_new(const struct call_ops *ops, void *owner, struct ledger *ledger, struct loop *loop);
struct call *call_ref(struct call *call);   /* any thread */
struct call *call_unref(struct call *call); /* any thread; returns NULL */

/* Takes what `message` holds: its id, method and params are the call's. */
void call_set_message(struct call *call, struct message *message);
void call_set_key(struct call *call, struct call_key key, const char *boot_id);
/* Reads progressToken and what the modern client says of itself from params._meta. */
void call_read_meta(struct call *call);
void call_set_client(struct call *call, const struct theseus_client_info *client); /* copies */

static inline bool call_is_over(const struct call *call) {
    return atomic_load_explicit(&call->state, memory_order_acquire) == CALL_OVER;
}

/* ---- the end; each may come from any thread, the first one counts ---------------------------------------------------
 */

void call_answer(struct call *call, json_t *result); /* steals; shaped already, save for the members of every result */
void call_answer_list(struct call *call, json_t *result); /* the same for results that a client might keep */
void call_fail(struct call *call, const struct theseus_error *error, json_t *data); /* JSON-RPC error; steals data */
void call_fail_text(struct call *call, enum errc code, const char *text); /* the same at any length; it is UTF-8 */
void call_cancel(struct call *call); /* the client does not want it any more: nothing is said */

/* After `ms` from acceptance (the first time counts) the call is answered with an error (as `timed_out` makes it) and
 * cancelled. */
struct call_limit {
    int64_t ms;
    int source;         /* where it comes from, and … */
    const char *plugin; /* … whose it is: for who makes the answer. Copied; may be NULL */
};
typedef void call_timeout_fn(struct call *call, const struct call_limit *limit);
void call_set_deadline(struct call *call, const struct call_limit *limit, call_timeout_fn *timed_out) ON_LOOP;
/* The owner says so, on the loop, once it has seen that the call is over. */
void call_end_on_loop(struct call *call) ON_LOOP;

/* How many calls of this process image were answered with a result that is no error. Async-signal-safe. */
uint64_t call_served(void);

/* ---- while it is open; any thread ---- */

void call_progress(struct call *call, double done, double total, const char *message);
/* The same for one of a few steps, however soon it follows the one before: none is left out. */
void call_progress_step(struct call *call, double done, double total, const char *message);
/* The last progress of a call with has_steps: "3 of 10: linking". Owned; NULL: there was none. */
char *call_last_step(struct call *call);
void call_log(struct call *call, int level, const char *logger, const char *text);

DEFINE_CLEANUP(struct call *, call_unref)
