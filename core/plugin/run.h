/*
 * A run: one handler at work for one call – a client's, or an inner one that a handler makes itself
 * (theseus_call_tool).
 *
 * It lives until the handler has answered and has returned, whichever comes last: also after a time-out or a
 * cancellation, when its answer is dropped. Until then it pins its generation.
 */
#pragma once

#include <pthread.h>

#include <theseus/plugin.h>

#include "base/blame.h"
#include "base/thread.h"
#include "call/call.h"
#include "loop/workers.h"
#include "plugin/hangs.h"
#include "plugin/host.h"
#include "plugin/registry.h"

/* A pause: runs that begin wait, urgent ones excepted. */
struct run_pause {
    atomic_bool all; /* urgent ones as well */
    atomic_bool on;
    struct list runs; /* run::wait_link, owned, in the order of their acceptance; loop */
};

struct run {
    struct theseus_call call; /* what the handler sees */
    const struct plugin_host *host;
    struct call *request; /* a reference: the client's request that this is part of */
    struct run *outer;    /* of an inner run; a reference */
    char *name;           /* owned: the tool's */
    struct offer *offer;  /* a reference, its generation pinned; NULL until it has been found */
    json_t *args;         /* owned */
    char *args_text;      /* owned, made when asked for */
    char *key_text;       /* owned: an inner run's theseus_call_key() */
    int depth;            /* 0: the client's own call */
    double done, total;   /* that the handler has reported last; under `lock` */
    int64_t entered_ns;
    int64_t limit_ms; /* from the acceptance of the request; 0: not limited yet */
    struct blame blame;
    atomic_int refs; /* the handler, and the answer that is still to come */
    atomic_bool replied;
    atomic_bool told; /* the handler has heard that the server waits for it */
    bool suspended;   /* it has, and stopped at a checkpoint. Whose turn it is: its thread, then the loop */
    bool serial;      /* it has, or waits for, the turn of a THESEUS_SERIAL tool */
    struct work work;
    struct stay stay;        /* while its handler is on a worker */
    struct loop_task resume; /* goes on after the client's unread output, or another serial run, had stopped it */
    struct list queue_link;  /* generation::queued, from submission until the handler is entered */
    struct list wait_link;   /* generation::held, run_pause::runs, or offer::serial_waiting */
    pthread_mutex_t lock;    /* of progress; of an inner run also the result, for the thread that waits for it */
    pthread_cond_t answered;
    json_t *result;
};

/*
 * Runs the tool `name` for a client's request, which it will answer. `args` is borrowed; NULL: none. The arguments are
 * checked against the tool's schema first.
 */
void run_start(const struct plugin_host *host, struct call *request, const char *name, json_t *args) ON_LOOP;

/*
 * The generation is to be replaced, and new runs wait (it is *holding*): those that were submitted and have not entered
 * their handler wait too. Else they might wait for workers that are all taken by runs which wait for the replacement.
 */
void run_hold_queued(struct generation *generation) ON_LOOP;

/* Runs that waited while `from` was being replaced go on, with whoever offers their tools now. */
void run_release_held(struct generation *from) ON_LOOP;

/*
 * A pause. While it is on, runs that begin wait; this takes back those of a generation that were submitted and have not
 * entered their handler. At its end all go on in the order of acceptance; or the server ends, and they with it.
 */
void run_pause_queued(struct generation *generation) ON_LOOP;
void run_release_paused(const struct plugin_host *host) ON_LOOP;
void run_drop_paused(const struct plugin_host *host) ON_LOOP;

/* theseus_call_tool(): on the thread of `outer`. Steals `args`. */
MUST_CHECK int run_inner(struct run *outer, const char *name, json_t *args, json_t **ret_result,
                         struct theseus_error *err);

/* What the handler reports of its progress, as what it is of the client's request. Any thread. */
void run_progress(struct run *run, double done, double total, const char *message);

/* The handler's answer: a CallToolResult. Any thread. Steals; NULL: there was no memory for one. Returns THESEUS_DONE.
 */
int run_reply(struct run *run, json_t *result);

/* The same where the plugin's process has crashed: an error result with `crash` in its _meta; where no result of the
 * tool can be one, an error of the protocol with it. Steals `crash`. */
int run_reply_crash(struct run *run, const char *text, json_t *crash);

/* For run.c, run_wait.c and inner.c. */
struct run *run_new(const struct plugin_host *host, struct call *request, const char *name, json_t *args);
struct run *run_ref(struct run *run);
struct run *run_unref(struct run *run);
void run_begin(struct run *run) ON_LOOP;
void run_wait(struct run *run, struct generation *held_by) ON_LOOP; /* NULL: for the end of the pause */
bool run_is_paused(const struct run *run);
void run_leave_serial(struct run *run); /* the next one in a serial tool's queue goes to a worker */
void run_leave_offer(struct run *run);  /* that too, and the pin of its generation */
void run_enter(struct run *run);        /* on the thread where the handler runs */
/* Do the arguments fit? Else the text says which path broke which rule. */
MUST_CHECK int run_check_args(const struct run *run, struct theseus_error *err);

/* CallToolResults with one text. New reference; text that is no UTF-8 is mended. */
json_t *run_text_result_new(const char *text, bool is_error);

static inline struct run *run_of(const struct theseus_call *call) {
    return container_of((struct theseus_call *)(uintptr_t)call, struct run, call);
}
