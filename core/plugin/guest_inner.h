/* The guest's own structs, for its files: guest.c (its life), guest_process.c, guest_slots.c, guest_call.c,
 * guest_serve.c, guest_end.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <theseus/plugin.h>

#include "base/list.h"
#include "base/thread.h"
#include "plugin/channel.h"
#include "plugin/cord.h"
#include "plugin/fate.h"
#include "plugin/guest.h"

struct run;

/* One incarnation: a process, and the channels to it. */
struct process {
    atomic_int refs;
    pid_t pid;
    int cord; /* owned */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list idle; /* channel::link, owned */
    int asking;       /* threads of ours that serve what its own threads ask */
    bool reaped;      /* its number may be another's */
    bool ended;       /* and what there is to be known of that stands here */
    int wait_status;
    const char *killed_for;        /* why we have ended it; NULL: we have not */
    struct cord_crash *last_words; /* owned; NULL: it had none. The keeper's */
    int64_t short_until_ns;        /* of memory: then it is replaced, whatever runs in it; 0: it is not. The keeper's */
    atomic_bool revived;           /* it has served, or was the first one and was started */

    /* Set by the keeper before `ended`. */
    bool alone;         /* at its end one call at most ran in it */
    bool memory;        /* its memory was used up */
    bool hang;          /* it did not come back */
    char *end_text;     /* owned: "crashed with SIGSEGV" */
    json_int_t culprit; /* the call in which it crashed; 0: not known */
    struct plugin_fate fate;
};

/* A tool of the plugin, as data of ours. */
struct guest_tool {
    struct list link; /* in the guest's list, if it was added at run time */
    struct guest *guest;
    struct process *process; /* a reference: whose tool it is; NULL: of every incarnation */
    char *name;              /* owned */
    json_int_t id;           /* in the process */
};

/* A call that runs inside, or is to be answered from there. */
struct guest_call {
    struct list link;
    json_int_t id;
    struct run *run;         /* a reference */
    struct process *process; /* borrowed: only compared */
    json_t *checkpoint;      /* owned: the last one of this run */
    bool later;              /* no thread of ours waits for it any more */
};

enum guest_state {
    GUEST_STARTING, /* the process begins, or begins again */
    GUEST_READY,
    GUEST_WAITING, /* for its next beginning */
    GUEST_OVER,    /* it does not begin again */
};

struct guest {
    struct guest_line *line; /* owned; loop only. NULL: nobody has needed it */
    struct guest_spec spec;  /* owned copies */
    json_t *description;     /* owned: what the plugin says of itself; the texts of `slots` are its */
    struct theseus_plugin slots;
    struct theseus_tool *tools;         /* owned array */
    struct theseus_resource *resources; /* owned array */
    struct guest_tool *declared;        /* owned array: those of the tables, the resources behind the tools */
    size_t declared_count;
    struct thread *keeper;
    pthread_mutex_t slots_lock;      /* one slot at a time */
    struct theseus_ctx *_Atomic ctx; /* borrowed: set when it is started */
    atomic_bool started, activated;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    enum guest_state state;
    bool closing;
    struct process *process; /* a reference */
    struct list calls;       /* guest_call::link, owned */
    json_int_t next_call;
    struct list added; /* guest_tool::link, borrowed */
    int restarts;
    int failures; /* to start again, one after the other. The keeper's */
    struct guest_trial
        *trial;        /* owned: what becomes of it is being decided; NULL: it is not. The keeper's, then the loop's */
    char *memory_text; /* owned: why one is ended whose memory is used up */
    char *trouble;     /* owned: why it does not serve */
    atomic_int path_rules; /* of the sandbox, as it says; any thread asks */
};

/* Why a process is ended. */
extern const char guest_hang[], guest_slot_hang[], guest_closed[], guest_nonsense[];

enum { GUEST_HANG_GRACE_MS = 5000 }; /* beyond a call's time: it was told, and does not come back */

/* ---- guest_process.c ---- */

MUST_CHECK int process_start(struct process **ret_process, const struct guest_spec *spec, struct theseus_error *err);
struct process *process_ref(struct process *process);
struct process *process_unref(struct process *process);
void process_kill(struct process *process, const char *why); /* why: a sentence about it; the first one counts */
void process_reap(struct process *process);                  /* kills and waits for its end. One thread only */
void process_set_ended(struct process *process);             /* who waits for that hears of it */
void process_wait(struct process *process);                  /* until somebody has reaped it */
char *process_end_text(struct process *process);             /* "crashed with SIGSEGV". Owned. It has ended */
bool process_was_killed(const struct process *process);      /* by us: its end is none of its own */
const char *process_signal_name(const struct process *process, char name[static 16]); /* "SIGSEGV"; "" if by none */
/* A channel of which nobody makes use; an end is sent to the process if it is new. */
MUST_CHECK int process_take_channel(struct process *process, struct channel **ret_channel, struct theseus_error *err);
MUST_CHECK int process_make_channel_now(struct process *process, struct channel **ret_channel); /* never waits */
bool process_has_ended(struct process *process);
void process_put_channel(struct process *process, struct channel *channel);
/* Threads of ours that serve what its own threads ask: false: there are `most` already. */
MUST_CHECK bool process_asker_comes(struct process *process, int most);
void process_asker_left(struct process *process);
void process_settle(struct process *process, int limit_ms); /* until they have left; 0: for as long as that takes */

/* ---- guest.c ---- */

/* The process that serves, with a reference; waits a moment for one that begins. NULL: err says why there is none. */
struct process *guest_take_process(struct guest *guest, struct theseus_error *err);
bool guest_is_over(struct guest *guest);                  /* no process will serve any more */
struct process *guest_ready_process(struct guest *guest); /* the same without waiting; NULL: none serves */
/* The plugin's `start` has succeeded in that process: from here on a crash is no refusal. Fails if it has ended. */
MUST_CHECK int guest_mark_started(struct guest *guest, struct theseus_error *err);
void guest_record(struct guest *guest, const struct process *process); /* in the ledger */

/* ---- guest_end.c ---- */

/* It is reaped: what it was, and what becomes of the plugin. Waits for the loop. */
void guest_judge(struct guest *guest, struct process *process);
bool guest_is_leaving(struct guest *guest); /* it is being closed, or the server goes: its end is no crash */
struct guest_trial *guest_trial_free(struct guest_trial *trial);
void guest_trial_forget(struct guest *guest) ON_LOOP; /* if the keeper has */

/* ---- guest_slots.c ---- */

MUST_CHECK int guest_describe(struct guest *guest, struct process *process, json_t **ret_description,
                              struct theseus_error *err);
MUST_CHECK int guest_fill_slots(struct guest *guest, struct theseus_error *err);
/* After a crash: what the host had done with the process before. */
MUST_CHECK int guest_revive(struct guest *guest, struct process *process, struct theseus_error *err);

/* ---- guest_call.c ---- */

int guest_call_run(struct theseus_call *call, void *self, const json_t *args); /* every tool's handler */
/* The same for a run whose handler has returned THESEUS_LATER already. On any thread that may wait. */
void guest_call_run_later(struct guest *guest, struct run *run, const json_t *args);
json_int_t guest_call_begin_later(struct guest *guest, struct run *run, struct process *process);
void guest_call_forget(struct guest *guest, json_int_t id);
void guest_call_returned(struct guest *guest, json_int_t id, const json_t *answer); /* its handler has */
/* What a run is to run, in that process. False: it went with an earlier one. */
bool guest_call_find_tool(struct guest *guest, const struct run *run, const struct process *process,
                          json_int_t *ret_id);
json_t *guest_call_question_new(json_int_t id, json_int_t tool, const char *name, const json_t *args);
/* The run of that name, with a reference of the caller's; NULL: it is over. */
struct run *guest_call_find(struct guest *guest, json_int_t id);
struct run *guest_call_take(struct guest *guest, json_int_t id); /* the same, and it is answered now */
void guest_call_note_checkpoint(struct guest *guest, json_int_t id, const json_t *state);
json_t *guest_call_checkpoint_new(struct guest *guest, json_int_t id); /* of this run; NULL: none */
/* Its process has ended: those for which no thread of ours waits are answered. */
void guest_calls_crashed(struct guest *guest, struct process *process);
int guest_calls_count(struct guest *guest, const struct process *process);
/* The run of the only call that is in it, as guest_call_find(); NULL: there is none, or more. */
struct run *guest_call_only(struct guest *guest, const struct process *process, json_int_t *ret_id);

/* ---- guest_serve.c ---- */

struct guest_asker {
    struct guest *guest;
    struct process *process;
};

/* `user`: of the channel, for what is asked back. */
json_t *guest_serve(struct guest_asker *asker, struct channel *channel, const struct channel_user *user,
                    const char *verb, const json_t *message);
/* A declared tool from its description; its texts are borrowed from that. */
void guest_tool_fill(struct theseus_tool *ret_tool, const json_t *description, struct guest_tool *data);
/* An end of a channel that a thread of the process asks on. Takes it. */
void guest_serve_asker(struct guest *guest, struct process *process, int fd);
