/*
 * The handler of every tool of an isolated plugin. It asks the process and waits, on the worker on which the plugin's
 * own handler would run: what that wants of the host is done on the very thread on which it would be done otherwise.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/generation.h"
#include "plugin/guest_inner.h"
#include "plugin/guest_line.h"
#include "plugin/run.h"

enum { MAY_RUN_AGAIN = THESEUS_READ_ONLY | THESEUS_IDEMPOTENT };

/* ---- which calls there are ---- */

static struct guest_call *add(struct guest *guest, struct run *run, struct process *process, const json_t *checkpoint,
                              bool later) {
    struct guest_call *mine = xcalloc(1, sizeof(*mine));

    mine->run = run_ref(run);
    mine->process = process;
    mine->later = later;
    mine->checkpoint = checkpoint ? json_deep_copy(checkpoint) : NULL;
    (void)pthread_mutex_lock(&guest->lock);
    mine->id = ++guest->next_call;
    list_append(&guest->calls, &mine->link);
    (void)pthread_mutex_unlock(&guest->lock);
    return mine;
}

static struct guest_call *find_locked(struct guest *guest, json_int_t id) {
    list_for_each (link, &guest->calls) {
        struct guest_call *mine = list_entry(link, struct guest_call, link);
        if (mine->id == id)
            return mine;
    }
    return NULL;
}

static struct guest_call *take(struct guest *guest, json_int_t id) {
    (void)pthread_mutex_lock(&guest->lock);
    struct guest_call *mine = find_locked(guest, id);
    if (mine)
        list_remove(&mine->link);
    (void)pthread_mutex_unlock(&guest->lock);
    return mine;
}

static struct guest_call *guest_call_free(struct guest_call *mine) {
    if (!mine)
        return NULL;
    json_decref(mine->checkpoint);
    (void)run_unref(mine->run);
    free(mine);
    return NULL;
}

struct run *guest_call_find(struct guest *guest, json_int_t id) {
    (void)pthread_mutex_lock(&guest->lock);
    const struct guest_call *mine = find_locked(guest, id);
    struct run *run = mine ? run_ref(mine->run) : NULL;
    (void)pthread_mutex_unlock(&guest->lock);
    return run;
}

struct run *guest_call_only(struct guest *guest, const struct process *process, json_int_t *ret_id) {
    struct run *run = NULL;
    int count = 0;

    (void)pthread_mutex_lock(&guest->lock);
    list_for_each (link, &guest->calls) {
        const struct guest_call *mine = list_entry(link, struct guest_call, link);
        if (mine->process != process || ++count > 1)
            continue;
        run = run_ref(mine->run);
        *ret_id = mine->id;
    }
    (void)pthread_mutex_unlock(&guest->lock);
    return count > 1 ? run_unref(run) : run;
}

struct run *guest_call_take(struct guest *guest, json_int_t id) {
    struct guest_call *mine = take(guest, id);
    struct run *run = mine ? run_ref(mine->run) : NULL;

    (void)guest_call_free(mine);
    return run;
}

void guest_call_note_checkpoint(struct guest *guest, json_int_t id, const json_t *state) {
    (void)pthread_mutex_lock(&guest->lock);
    struct guest_call *mine = find_locked(guest, id);
    if (mine) {
        json_decref(mine->checkpoint);
        mine->checkpoint = json_deep_copy(state);
    }
    (void)pthread_mutex_unlock(&guest->lock);
}

json_t *guest_call_checkpoint_new(struct guest *guest, json_int_t id) {
    (void)pthread_mutex_lock(&guest->lock);
    const struct guest_call *mine = find_locked(guest, id);
    json_t *checkpoint = mine && mine->checkpoint ? json_deep_copy(mine->checkpoint) : NULL;
    (void)pthread_mutex_unlock(&guest->lock);
    return checkpoint;
}

int guest_calls_count(struct guest *guest, const struct process *process) {
    int count = 0;

    (void)pthread_mutex_lock(&guest->lock);
    list_for_each (link, &guest->calls)
        count += list_entry(link, struct guest_call, link)->process == process;
    (void)pthread_mutex_unlock(&guest->lock);
    return count;
}

/* ---- its process has ended ---- */

static json_t *crash_new(const struct guest *guest, const struct process *process, unsigned flags) {
    char name[16];

    return json_pack("{s:s, s:s, s:s, s:o*, s:o*, s:b, s:s}", "plugin", guest->slots.name, "version",
                     guest->slots.version, "signal", process_signal_name(process, name), "hang",
                     process->hang ? json_true() : NULL, "memory_limit",
                     process->memory ? json_integer((json_int_t)guest->spec.memory) : NULL, "may_have_executed",
                     !(flags & THESEUS_READ_ONLY), "next", fate_text(process->fate.next));
}

static const char *next_text(const struct process *process) {
    static const char *const texts[] = {
        [FATE_RESTARTED] = "it is started again",
        [FATE_REVERTED] = "the version before serves in its place",
        [FATE_UNLOADED] = "its tools are gone until a new file of it is there",
    };

    return texts[process->fate.next];
}

/* Whose memory is used up may crash in a call that has used hardly any. */
static char *memory_text(const struct guest *guest, const struct process *process) {
    if (!process->memory || process_was_killed(process))
        return xstrdup("");
    return xasprintf(", for its memory of %zu MiB was used up ([plugin:%s] .memory), by this call or by others before",
                     guest->spec.memory >> 20, guest->slots.name);
}

/* The call has begun and nobody knows how far it got. */
static int answer_crashed(struct guest *guest, struct process *process, const struct guest_call *mine) {
    struct run *run = mine->run;
    const unsigned flags = run->offer->tool->flags;
    CLEANUP(free) char *memory = memory_text(guest, process);
    CLEANUP(free)
    char *text = xasprintf(
        "the process of plugin '%s' %s %s%s; %s. %s", guest->slots.name, process->end_text,
        mine->id == process->culprit ? "in this call" : "while this call ran", memory, next_text(process),
        flags & THESEUS_READ_ONLY ? "The call changes nothing and may be made again."
                                  : "The call may have executed: check what it did before calling the tool again.");

    return run_reply_crash(run, text, crash_new(guest, process, flags));
}

void guest_calls_crashed(struct guest *guest, struct process *process) {
    struct list gone;

    list_init(&gone);
    (void)pthread_mutex_lock(&guest->lock);
    list_for_each (link, &guest->calls) {
        struct guest_call *mine = list_entry(link, struct guest_call, link);
        if (mine->process != process || !mine->later)
            continue;
        list_remove(link);
        list_append(&gone, link);
    }
    (void)pthread_mutex_unlock(&guest->lock);
    list_for_each (link, &gone) {
        struct guest_call *mine = list_entry(link, struct guest_call, link);
        (void)answer_crashed(guest, process, mine);
        (void)guest_call_free(mine);
    }
}

/* An error of ours: the plugin has said nothing. */
static int answer_error(struct run *run, const char *text) {
    return run_reply(run, run_text_result_new(text, true));
}

/* Another call may be to blame: then this one, if that does no harm, gets a second chance. */
static bool may_run_again(const struct guest_call *mine, const struct process *process) {
    const unsigned flags = mine->run->offer->tool->flags;
    const bool is_to_blame = process->culprit ? mine->id == process->culprit : process->alone;

    return !is_to_blame && process->fate.next == FATE_RESTARTED && !call_is_over(mine->run->request) &&
           ((flags & MAY_RUN_AGAIN) || ((flags & THESEUS_RESUMABLE) && mine->checkpoint));
}

/* ---- the call ---- */

struct caller {
    struct guest_asker asker;
    struct channel_user user;
    struct run *run;
    json_t *checkpoint; /* owned: of the run before, if that was cut off */
    bool last;          /* it does not run once more */
};

static json_t *serve(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    struct caller *caller = arg;

    return guest_serve(&caller->asker, channel, &caller->user, verb, message);
}

/* Its time is up, and it was told; a handler that still does not return is not going to. */
static bool hangs(void *arg) {
    const struct run *run = ((struct caller *)arg)->run;
    const struct run *outer = run;

    while (outer->outer)
        outer = outer->outer;
    return outer->limit_ms > 0 &&
           clock_now_ns() - outer->request->accepted_ns > (outer->limit_ms + GUEST_HANG_GRACE_MS) * 1000000;
}

/* A resource has no data of its own: its name says which it is. */
static const struct guest_tool *tool_of(const struct guest *guest, const struct run *run) {
    const struct guest_tool *tool = run->offer->tool->data;

    for (size_t i = 0; !tool && i < guest->declared_count; i++)
        if (strcmp(guest->declared[i].name, run->name) == 0)
            tool = &guest->declared[i];
    return tool;
}

/* The number in this process of what an earlier one had added. */
static bool find_added(struct guest *guest, const char *name, const struct process *process, json_int_t *ret_id) {
    bool found = false;

    (void)pthread_mutex_lock(&guest->lock);
    list_for_each (link, &guest->added) {
        const struct guest_tool *other = list_entry(link, struct guest_tool, link);
        if (other->process != process || strcmp(other->name, name) != 0)
            continue;
        *ret_id = other->id;
        found = true;
    }
    (void)pthread_mutex_unlock(&guest->lock);
    return found;
}

bool guest_call_find_tool(struct guest *guest, const struct run *run, const struct process *process,
                          json_int_t *ret_id) {
    const struct guest_tool *tool = tool_of(guest, run);

    if (!tool)
        return false;
    if (tool->process && tool->process != process)
        return find_added(guest, tool->name, process, ret_id);
    *ret_id = tool->id;
    return true;
}

json_t *guest_call_question_new(json_int_t id, json_int_t tool, const char *name, const json_t *args) {
    return json_pack("{s:s, s:I, s:I, s:s, s:O}", "ask", "call", "call", id, "tool", tool, "name", name, "args", args);
}

/* As channel_ask(). */
static int converse(struct caller *caller, const struct guest_call *mine, json_int_t tool, const json_t *args,
                    int *ret_outcome, struct theseus_error *err) {
    struct process *process = caller->asker.process;
    CLEANUP(channel_free) struct channel *channel = NULL;
    json_auto_t *answer = NULL;

    if (process_take_channel(process, &channel, err) < 0)
        return CHANNEL_ENDED;
    int r = channel_ask(channel, guest_call_question_new(mine->id, tool, mine->run->name, args), &caller->user, &answer,
                        err);
    if (r == 0 || r == CHANNEL_REFUSED)
        process_put_channel(process, TAKE_PTR(channel));
    if (r == 0)
        *ret_outcome = (int)json_integer_value(answer);
    return r;
}

/* The process is done for. True: the call is to run once more. */
static bool after_end(struct caller *caller, json_int_t id, int outcome) {
    struct guest *guest = caller->asker.guest;
    struct process *process = caller->asker.process;

    process_kill(process, outcome == CHANNEL_GIVEN_UP ? guest_hang
                          : outcome == CHANNEL_ENDED  ? guest_closed
                                                      : guest_nonsense);
    process_wait(process);
    struct guest_call *mine = take(guest, id);
    if (!mine)
        return false; /* it is answered */
    bool again = !caller->last && may_run_again(mine, process);
    if (!again)
        (void)answer_crashed(guest, process, mine);
    json_decref(caller->checkpoint);
    caller->checkpoint = TAKE_PTR(mine->checkpoint);
    (void)guest_call_free(mine);
    return again;
}

/* No thread of ours waits any more: its answer, or the end of the process, will find it. */
static void leave_open(struct guest *guest, struct process *process, json_int_t id) {
    (void)pthread_mutex_lock(&guest->lock);
    struct guest_call *mine = find_locked(guest, id);
    if (mine)
        mine->later = true;
    (void)pthread_mutex_unlock(&guest->lock);
    (void)pthread_mutex_lock(&process->lock);
    bool ended = process->ended;
    (void)pthread_mutex_unlock(&process->lock);
    if (ended)
        guest_calls_crashed(guest, process);
}

/* Beside what a handler returns: it is to run once more. */
enum { RUN_AGAIN = -1 };

static int attempt(struct caller *caller, const json_t *args) {
    struct guest *guest = caller->asker.guest;
    struct process *process = caller->asker.process;
    struct run *run = caller->run;
    struct theseus_error err = {0};
    int outcome = THESEUS_DONE;
    json_int_t number;

    if (!guest_call_find_tool(guest, run, process, &number))
        return answer_error(run, "the tool went with the process that had added it");
    struct guest_call *mine = add(guest, run, process, caller->checkpoint, false);
    const json_int_t id = mine->id; /* it is gone when the call is answered */
    int r = converse(caller, mine, number, args, &outcome, &err);
    if (r != 0 && r != CHANNEL_REFUSED)
        return after_end(caller, id, r) ? RUN_AGAIN : THESEUS_DONE;
    if (r == 0 && outcome == THESEUS_LATER) {
        leave_open(guest, process, id);
        return THESEUS_LATER;
    }
    mine = take(guest, id);
    if (mine && r != 0)
        outcome = answer_error(run, err.message);
    (void)guest_call_free(mine);
    return outcome == RUN_AGAIN ? THESEUS_DONE : outcome;
}

static int run_blocking(struct guest *guest, struct run *run, const json_t *args) {
    struct caller caller = {
        .asker = {.guest = guest}, .user = {.serve = serve, .gives_up = hangs, .arg = &caller}, .run = run};
    int outcome = RUN_AGAIN;

    for (; outcome == RUN_AGAIN; caller.last = true) {
        struct theseus_error err = {0};
        caller.asker.process = guest_take_process(guest, &err);
        if (!caller.asker.process) {
            outcome = answer_error(run, err.message);
            break;
        }
        outcome = attempt(&caller, args);
        (void)process_unref(caller.asker.process);
    }
    json_decref(caller.checkpoint);
    return outcome;
}

int guest_call_run(struct theseus_call *call, void *self, const json_t *args) {
    struct run *run = run_of(call);

    if (!pthread_equal(pthread_self(), run->host->loop_thread))
        return run_blocking(self, run, args);
    loop_enter();
    return guest_line_call(self, run, args);
}

/* ---- one whose handler has returned already, as far as others can see ---- */

static void answer_nothing(struct run *run) {
    CLEANUP(free) char *text = xasprintf("tool '%s' ended without an answer", run->name);

    (void)answer_error(run, text);
}

void guest_call_run_later(struct guest *guest, struct run *run, const json_t *args) {
    if (run_blocking(guest, run, args) != THESEUS_LATER && !atomic_load(&run->replied))
        answer_nothing(run);
}

json_int_t guest_call_begin_later(struct guest *guest, struct run *run, struct process *process) {
    return add(guest, run, process, NULL, true)->id;
}

void guest_call_forget(struct guest *guest, json_int_t id) {
    (void)guest_call_free(take(guest, id));
}

void guest_call_returned(struct guest *guest, json_int_t id, const json_t *answer) {
    const char *refusal = channel_text(answer, "error");
    int outcome = (int)json_integer_value(json_object_get(answer, "answer"));
    struct run *run = !refusal && outcome == THESEUS_LATER ? NULL : guest_call_take(guest, id);

    if (run && refusal)
        (void)answer_error(run, refusal);
    else if (run)
        answer_nothing(run);
    (void)run_unref(run);
}
