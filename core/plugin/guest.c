#include "plugin/guest_inner.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "call/proc.h"
#include "ledger/records.h"
#include "loop/thread.h"
#include "plugin/cord.h"
#include "plugin/generation.h"
#include "plugin/guest_line.h"
#include "plugin/host.h"

const char guest_hang[] = "a call did not come back after its time was up";
const char guest_slot_hang[] = "its own code did not come back";
const char guest_closed[] = "it closed a channel to the server";
const char guest_nonsense[] = "it sent what nobody understands";
static const char no_use[] = "the server has no use for it any more";

enum {
    FIRST_WAIT_MS = 50, /* after a second crash; doubled each time */
    LONGEST_WAIT_MS = 5000,
    PATIENCE_MS = 2000, /* of a call or a slot, with a process that begins again */
    SETTLE_MS = 200,
    SHORT_MS = 2000, /* for calls to end in a process whose memory is used up */
    SHORT_LOOK_MS = 20,
};

/* ---- waiting; under the lock ---- */

static void set_state_locked(struct guest *guest, enum guest_state state) {
    guest->state = state;
    (void)pthread_cond_broadcast(&guest->changed);
}

static void set_state(struct guest *guest, enum guest_state state) {
    (void)pthread_mutex_lock(&guest->lock);
    set_state_locked(guest, state);
    (void)pthread_mutex_unlock(&guest->lock);
}

static bool is_beginning(const struct guest *guest) {
    return guest->state == GUEST_STARTING || guest->state == GUEST_WAITING;
}

struct process *guest_take_process(struct guest *guest, struct theseus_error *err) {
    const struct timespec until = clock_in_ms(PATIENCE_MS);
    struct process *process = NULL;

    (void)pthread_mutex_lock(&guest->lock);
    while (is_beginning(guest) && !guest->closing &&
           pthread_cond_clockwait(&guest->changed, &guest->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    if (guest->state == GUEST_READY && guest->process)
        process = process_ref(guest->process);
    else
        (void)fail(err, ERR_BUSY, "plugin '%s': %s", guest->slots.name ? guest->slots.name : "",
                   guest->trouble ? guest->trouble : "it is just being started again; try again in a moment");
    (void)pthread_mutex_unlock(&guest->lock);
    return process;
}

bool guest_is_over(struct guest *guest) {
    (void)pthread_mutex_lock(&guest->lock);
    bool over = guest->state == GUEST_OVER;
    (void)pthread_mutex_unlock(&guest->lock);
    return over;
}

struct process *guest_ready_process(struct guest *guest) {
    (void)pthread_mutex_lock(&guest->lock);
    struct process *process = guest->state == GUEST_READY && guest->process ? process_ref(guest->process) : NULL;
    (void)pthread_mutex_unlock(&guest->lock);
    return process;
}

static void set_trouble(struct guest *guest, char *trouble) {
    (void)pthread_mutex_lock(&guest->lock);
    free(guest->trouble);
    guest->trouble = trouble;
    (void)pthread_mutex_unlock(&guest->lock);
}

/* ---- the ledger: the image behind a restart ends and reaps it ---- */

static const struct plugin_host *host_of(const struct guest *guest) {
    return container_of(guest->ctx, struct generation, ctx)->host;
}

static void record(struct guest *guest, const struct process *process, bool runs) {
    struct child_record child = {.pid = (uint64_t)process->pid};
    struct theseus_error err = {0};

    if (!guest->ctx)
        return;
    int r = runs ? proc_start_time(process->pid, &child.start_time, &err) : 0;
    if (r == 0)
        r = runs ? ledger_put(host_of(guest)->ledger, &child_kind, &child, &err)
                 : ledger_drop(host_of(guest)->ledger, &child_kind, &child, &err);
    if (r < 0)
        log_warning("plugin '%s': its process could not be recorded: %s", guest->slots.name, err.message);
}

void guest_record(struct guest *guest, const struct process *process) {
    record(guest, process, true);
}

int guest_mark_started(struct guest *guest, struct theseus_error *err) {
    int r = 0;

    (void)pthread_mutex_lock(&guest->lock);
    if (guest->state == GUEST_READY && guest->process)
        guest->started = guest->process->revived = true;
    else
        r = fail(err, ERR_INVALID, "%s", guest->trouble ? guest->trouble : "its process has ended");
    struct process *process = r == 0 ? process_ref(guest->process) : NULL;
    (void)pthread_mutex_unlock(&guest->lock);
    if (process)
        guest_record(guest, process);
    (void)process_unref(process);
    return r;
}

/* ---- the keeper: one thread for the life of the guest; the process ends with the thread that started it ---- */

/* No call comes to it any more; those in it may end. */
static void retire(struct guest *guest, struct process *process) {
    process->short_until_ns = clock_now_ns() + SHORT_MS * INT64_C(1000000);
    log_warning("plugin '%s': %s; its process %d is replaced when its calls are over", guest->slots.name,
                guest->memory_text, (int)process->pid);
    (void)pthread_mutex_lock(&guest->lock);
    if (guest->state == GUEST_READY)
        set_state_locked(guest, GUEST_STARTING);
    (void)pthread_mutex_unlock(&guest->lock);
}

/* Until there is something to hear of it, or its time is over. */
static void wait_for_end(struct guest *guest, struct process *process) {
    while (!cord_wait(process->cord, SHORT_LOOK_MS))
        if (guest_calls_count(guest, process) == 0 || clock_now_ns() > process->short_until_ns) {
            process_kill(process, guest->memory_text);
            return;
        }
}

static void keep_words(struct process *process, const struct cord_crash *crash) {
    if (!process->last_words)
        process->last_words = xmalloc(sizeof(*crash));
    *process->last_words = *crash;
}

static void watch(struct guest *guest, struct process *process) {
    struct theseus_error err = {0};
    struct cord_news news;
    int r = CORD_CHANNEL;

    while (r != CORD_ENDED && r > 0 && r != CORD_RELEASE) {
        if (process->short_until_ns)
            wait_for_end(guest, process);
        r = cord_receive(process->cord, &news, &err);
        if (r == CORD_CHANNEL)
            guest_serve_asker(guest, process, news.fd);
        else if (r == CORD_CRASHED)
            keep_words(process, &news.crash);
        else if (r == CORD_SHORT && guest->ctx && !process->short_until_ns)
            retire(guest, process);
    }
    if (r != CORD_ENDED)
        process_kill(process, guest_nonsense);
}

struct revival {
    struct guest *guest;
    struct process *process;
    struct thread *thread;
};

static void revive_main(void *arg) {
    struct revival *revival = arg;
    struct guest *guest = revival->guest;
    struct theseus_error err = {0};

    if (guest_revive(guest, revival->process, &err) == 0) {
        log_info("plugin '%s': its process %d serves again", guest->slots.name, (int)revival->process->pid);
        set_trouble(guest, NULL);
        revival->process->revived = true;
        set_state(guest, GUEST_READY);
        return;
    }
    log_warning("plugin '%s' cannot be started again: %s", guest->slots.name, err.message);
    process_kill(revival->process, "it could not be started again");
}

static void begin_revival(struct revival *revival) {
    struct theseus_error err = {0};

    if (thread_start(&revival->thread, "revive", revive_main, revival, &err) == 0)
        return;
    log_error("%s", err.message);
    process_kill(revival->process, "it could not be started again");
}

static int begin(struct guest *guest, bool is_first, struct process **ret_process, struct theseus_error *err) {
    struct process *process;

    if (process_start(&process, &guest->spec, err) < 0)
        return -1;
    (void)pthread_mutex_lock(&guest->lock);
    guest->process = process_ref(process);
    if (is_first)
        set_state_locked(guest, GUEST_READY);
    (void)pthread_mutex_unlock(&guest->lock);
    if (guest_is_leaving(guest))
        process_kill(process, no_use); /* whoever closes the guest may have found none */
    *ret_process = process;
    return 0;
}

static void end(struct guest *guest, struct process *process) {
    (void)pthread_mutex_lock(&guest->lock);
    if (guest->state == GUEST_READY)
        set_state_locked(guest, GUEST_STARTING);
    guest->process = process_unref(guest->process);
    (void)pthread_mutex_unlock(&guest->lock);
    process->alone = guest_calls_count(guest, process) <= 1;
    process_reap(process);
    record(guest, process, false);
    guest_judge(guest, process);
    process_set_ended(process);
    process_settle(process, SETTLE_MS); /* an answer may still be on its way */
    guest_calls_crashed(guest, process);
}

/* One incarnation, from its start to its end. False: it could not begin. */
static bool live(struct guest *guest, struct plugin_fate *ret_end, struct theseus_error *err) {
    const bool is_first = !guest->started; /* of the first one, whoever opened the guest makes what it is to be */
    struct process *process = NULL;

    if (begin(guest, is_first, &process, err) < 0)
        return false;
    struct revival revival = {guest, process, NULL};
    if (!is_first && !guest_is_leaving(guest))
        begin_revival(&revival);
    watch(guest, process);
    end(guest, process);
    revival.thread = thread_join(revival.thread);
    if (!guest_is_leaving(guest))
        (void)fail(err, ERR_INTERNAL, "its process %s", process->end_text);
    else
        process_settle(process, 0); /* what they serve is the guest's */
    guest->failures = process->revived ? 0 : guest->failures + 1;
    *ret_end = process->fate;
    (void)process_unref(process);
    return true;
}

/* Before it begins again, after so many crashes or failures. */
static int wait_ms(int crashes) {
    int ms = crashes > 1 ? FIRST_WAIT_MS : 0;

    for (int i = 2; i < crashes && ms < LONGEST_WAIT_MS; i++)
        ms *= 2;
    return ms < LONGEST_WAIT_MS ? ms : LONGEST_WAIT_MS;
}

/* Will it begin again? Then that is waited for. */
static bool goes_on(struct guest *guest, const struct plugin_fate *fate, const struct theseus_error *err) {
    const bool leaving = guest_is_leaving(guest);

    (void)pthread_mutex_lock(&guest->lock);
    free(TAKE_PTR(guest->trouble));
    guest->trouble = xstrdup(err->message);
    bool over = leaving || !guest->started || fate->next != FATE_RESTARTED;
    set_state_locked(guest, over ? GUEST_OVER : GUEST_WAITING);
    const struct timespec until =
        clock_in_ms(wait_ms(fate->crashes > guest->failures ? fate->crashes : guest->failures));
    while (!over && !guest->closing &&
           pthread_cond_clockwait(&guest->changed, &guest->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    over = over || guest->closing;
    if (!over)
        set_state_locked(guest, GUEST_STARTING);
    guest->restarts += !over;
    (void)pthread_mutex_unlock(&guest->lock);
    return !over;
}

/* Which may be another thing in a moment. */
static void cannot_begin(struct guest *guest, const struct theseus_error *err) {
    guest->failures++;
    if (guest->started)
        log_error("plugin '%s' cannot be started again: %s", guest->slots.name, err->message);
}

static void keeper_main(void *arg) {
    struct guest *guest = arg;
    bool again = true;

    while (again) {
        struct theseus_error err = {0};
        struct plugin_fate fate = {FATE_RESTARTED, 0};
        if (!live(guest, &fate, &err))
            cannot_begin(guest, &err);
        again = goes_on(guest, &fate, &err);
    }
    (void)pthread_mutex_lock(&guest->lock);
    while (!guest->closing)
        (void)pthread_cond_wait(&guest->changed, &guest->lock);
    (void)pthread_mutex_unlock(&guest->lock);
}

/* ---- life ---- */

static struct guest *guest_new(const struct guest_spec *spec) {
    struct guest *guest = xcalloc(1, sizeof(*guest));

    guest->spec = *spec;
    guest->spec.file = xstrdup(spec->file);
    guest->spec.hash = xstrdup(spec->hash);
    guest->spec.dir = spec->dir ? xstrdup(spec->dir) : NULL;
    (void)pthread_mutex_init(&guest->slots_lock, NULL);
    (void)pthread_mutex_init(&guest->lock, NULL);
    (void)pthread_cond_init(&guest->changed, NULL);
    list_init(&guest->calls);
    list_init(&guest->added);
    return guest;
}

static void free_tools(struct guest *guest) {
    for (size_t i = 0; i < guest->declared_count; i++)
        free(guest->declared[i].name);
    free(guest->declared);
    free(guest->tools);
    free(guest->resources);
}

static void destroy(struct guest *guest) {
    free_tools(guest);
    json_decref(guest->description);
    free((char *)(uintptr_t)guest->spec.file);
    free((char *)(uintptr_t)guest->spec.hash);
    free((char *)(uintptr_t)guest->spec.dir);
    free(guest->trouble);
    free(guest->memory_text);
    (void)pthread_cond_destroy(&guest->changed);
    (void)pthread_mutex_destroy(&guest->lock);
    (void)pthread_mutex_destroy(&guest->slots_lock);
    free(guest);
}

void guest_close(struct guest *guest) {
    (void)pthread_mutex_lock(&guest->lock);
    guest->closing = true;
    (void)pthread_cond_broadcast(&guest->changed);
    struct process *process = guest->process ? process_ref(guest->process) : NULL;
    (void)pthread_mutex_unlock(&guest->lock);
    if (process)
        process_kill(process, no_use);
    (void)process_unref(process);
    guest->keeper = thread_join(guest->keeper);
}

struct guest *guest_free(struct guest *guest) {
    loop_enter();
    if (!guest)
        return NULL;
    guest_close(guest);
    guest_trial_forget(guest);
    guest->line = guest_line_free(guest->line);
    destroy(guest);
    return NULL;
}

static int await_process(struct guest *guest, struct process **ret_process, struct theseus_error *err) {
    (void)pthread_mutex_lock(&guest->lock);
    while (guest->state == GUEST_STARTING)
        (void)pthread_cond_wait(&guest->changed, &guest->lock);
    struct process *process = guest->process ? process_ref(guest->process) : NULL;
    if (!process)
        (void)fail(err, ERR_INVALID, "%s", guest->trouble ? guest->trouble : "its process has ended");
    (void)pthread_mutex_unlock(&guest->lock);
    *ret_process = process;
    return process ? 0 : -1;
}

int guest_open(struct guest **ret_guest, const struct guest_spec *spec, struct theseus_error *err) {
    CLEANUP(guest_free) struct guest *guest = guest_new(spec);
    struct process *process = NULL;

    if (thread_start(&guest->keeper, "keeper", keeper_main, guest, err) < 0)
        return -1;
    if (await_process(guest, &process, err) < 0)
        return -1;
    int r = guest_describe(guest, process, &guest->description, err);
    (void)process_unref(process);
    if (r < 0 || guest_fill_slots(guest, err) < 0)
        return -1;
    *ret_guest = TAKE_PTR(guest);
    return 0;
}

const struct theseus_plugin *guest_plugin(const struct guest *guest) {
    return &guest->slots;
}

/* ---- what there is to be seen ---- */

static const char *const state_names[] = {"starting", "serving", "waiting", "over"};

json_t *guest_report_new(struct guest *guest) {
    (void)pthread_mutex_lock(&guest->lock);
    long pid = guest->process ? (long)guest->process->pid : 0;
    const char *state = state_names[guest->state];
    int restarts = guest->restarts;
    CLEANUP(free) char *trouble = guest->trouble ? xstrdup(guest->trouble) : NULL;
    (void)pthread_mutex_unlock(&guest->lock);
    uint64_t memory = 0;
    if (pid > 0)
        (void)!proc_memory(pid, &memory, NULL);
    return json_pack(
        "{s:s, s:o, s:i, s:I, s:I, s:s, s:s*}", "state", state, "pid", pid > 0 ? json_integer(pid) : json_null(),
        "restarts", restarts, "memory", (json_int_t)memory, "memory_limit", (json_int_t)guest->spec.memory, "files",
        guest->path_rules > 0 ? "Landlock: written in its own directory only" : "no Landlock here: nothing is written",
        "trouble", trouble);
}

char *guest_trouble(struct guest *guest) {
    (void)pthread_mutex_lock(&guest->lock);
    char *trouble = guest->trouble ? xstrdup(guest->trouble) : NULL;
    (void)pthread_mutex_unlock(&guest->lock);
    return trouble;
}
