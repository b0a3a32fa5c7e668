/*
 * The end of an incarnation: what it was, whose call it was in, and what becomes of the plugin. That is for the server
 * to decide (struct plugin_host), on the loop; until it has, nobody who waits for the end hears of it, so that every
 * answer says the same. A server that leaves decides nothing any more.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memlimit.h"
#include "base/utf8.h"
#include "plugin/backtrace.h"
#include "plugin/generation.h"
#include "plugin/guest_inner.h"
#include "plugin/host.h"
#include "plugin/inner.h"
#include "plugin/run.h"

enum { LOOK_MS = 50, SHORT_PART = 16 };

/* ---- what it was ---- */

/* A limit that a crash cannot have anything to do with is not named. */
static bool is_memory(const struct guest *guest, const struct process *process) {
    const struct cord_crash *crash = process->last_words;
    const size_t limit = guest->spec.memory;

    if (process_was_killed(process))
        return guest->memory_text && process->killed_for == guest->memory_text;
    if (!crash || limit == 0 || !WIFSIGNALED(process->wait_status))
        return false;
    return crash->error == ENOMEM || crash->memory + MEMLIMIT_RESERVE_BYTES + limit / SHORT_PART >= limit;
}

static bool is_hang(const struct process *process) {
    return process_was_killed(process) && (process->killed_for == guest_hang || process->killed_for == guest_slot_hang);
}

/* One of the slots that a process names; else NULL. */
static const char *known_slot(const char *slot) {
    static const char *const slots[] = {"start",     "selftest", "activate", "check",
                                        "configure", "save",     "stop",     "thread"};

    for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
        if (strcmp(slots[i], slot) == 0)
            return slots[i];
    return NULL;
}

static void put_text(char *to, size_t size, const char *from) {
    (void)snprintf(to, size, "%s", from ? from : "");
    utf8_mend(to);
}

/* The process has only said of which call it is; without a word, the one that was alone there. */
static json_int_t culprit_of(struct guest *guest, const struct process *process, char **ret_tool) {
    json_int_t id = process->last_words ? (json_int_t)process->last_words->note.conn : 0;
    struct run *run = id > 0 ? guest_call_find(guest, id) : guest_call_only(guest, process, &id);

    *ret_tool = run ? xstrdup(run->name) : NULL;
    if (!run)
        id = 0;
    (void)run_unref(run);
    return id;
}

/* As the server knows it: of what the process has said, only what nobody else can know is taken. */
static void make_note(struct guest *guest, struct process *process, struct crash_note *note) {
    const struct generation *generation = container_of(guest->ctx, struct generation, ctx);
    const struct crash_note *said = process->last_words ? &process->last_words->note : NULL;
    const char *slot = said ? known_slot(said->slot) : NULL;
    CLEANUP(free) char *tool = NULL;

    *note = said ? *said : (struct crash_note){0};
    crash_note_mend(note);
    process->culprit = slot && strcmp(slot, "thread") != 0 ? 0 : culprit_of(guest, process, &tool);
    note->at_ns = clock_now_ns();
    note->signum = WIFSIGNALED(process->wait_status) ? WTERMSIG(process->wait_status) : 0;
    utf8_mend(note->thread);
    put_text(note->plugin, sizeof(note->plugin), generation->name);
    put_text(note->version, sizeof(note->version), generation->version);
    put_text(note->hash, sizeof(note->hash), guest->spec.hash);
    put_text(note->slot, sizeof(note->slot), slot ? slot : process->revived || tool ? NULL : "start");
    put_text(note->tool, sizeof(note->tool), tool);
}

static char *remark_new(const struct guest *guest, const struct process *process) {
    const size_t used = process->last_words ? (size_t)process->last_words->memory : 0;

    if (!process->memory || used == 0)
        return xstrdup("");
    return xasprintf(", with its memory used up (%zu of %zu MiB in use, [plugin:%s] .memory)", used >> 20,
                     guest->spec.memory >> 20, guest->slots.name);
}

/* ---- what becomes of it ---- */

struct guest_trial {
    struct guest *guest;
    struct loop_task task;
    struct crash_note note;
    char *how, *remark; /* owned */
    json_t *backtrace;  /* owned */
    bool counts;
    struct plugin_fate fate;
    bool decided;
};

static struct generation *generation_of(const struct guest *guest) {
    return container_of(guest->ctx, struct generation, ctx);
}

static void on_trial(void *arg) {
    struct guest_trial *trial = arg;
    struct guest *guest = trial->guest;
    const struct plugin_host *host = generation_of(guest)->host;
    const struct plugin_crash crash = {&trial->note, trial->how, trial->remark, trial->backtrace, trial->counts};
    struct plugin_fate fate = {FATE_RESTARTED, 0};

    loop_enter();
    if (atomic_load(&host->leaving))
        return;
    host->crashed(host->arg, &crash, &fate);
    if (fate.next != FATE_RESTARTED)
        banning_enforce(generation_of(guest), fate.next == FATE_REVERTED);
    (void)pthread_mutex_lock(&guest->lock);
    trial->fate = fate;
    trial->decided = true;
    (void)pthread_cond_broadcast(&guest->changed);
    (void)pthread_mutex_unlock(&guest->lock);
}

static struct guest_trial *trial_new(struct guest *guest, struct process *process) {
    struct guest_trial *trial = xcalloc(1, sizeof(*trial));

    *trial = (struct guest_trial){.guest = guest, .task = {.run = on_trial, .arg = trial}};
    make_note(guest, process, &trial->note);
    trial->how = xstrdup(process->end_text);
    trial->remark = remark_new(guest, process);
    trial->counts = !process->hang || (guest->started && !process->revived);
    trial->backtrace = backtrace_new(&trial->note);
    backtrace_name(trial->backtrace); /* while the copies of what was mapped are there */
    return trial;
}

struct guest_trial *guest_trial_free(struct guest_trial *trial) {
    if (!trial)
        return NULL;
    free(trial->how);
    free(trial->remark);
    json_decref(trial->backtrace);
    free(trial);
    return NULL;
}

void guest_trial_forget(struct guest *guest) {
    if (guest->trial)
        loop_forget(generation_of(guest)->host->loop, &guest->trial->task);
    guest->trial = guest_trial_free(guest->trial);
}

/* False: nobody decides any more, for the guest or the server goes. The trial is the loop's then. */
static bool await_fate(struct guest *guest, struct plugin_fate *ret_fate) {
    const struct plugin_host *host = generation_of(guest)->host;

    (void)pthread_mutex_lock(&guest->lock);
    while (!guest->trial->decided && !guest->closing && !atomic_load(&host->leaving)) {
        const struct timespec until = clock_in_ms(LOOK_MS);
        (void)pthread_cond_clockwait(&guest->changed, &guest->lock, CLOCK_MONOTONIC, &until);
    }
    bool decided = guest->trial->decided;
    *ret_fate = guest->trial->fate;
    (void)pthread_mutex_unlock(&guest->lock);
    return decided;
}

/* Is there anybody to decide? What was not started yet is refused, and a rehearsal tries nothing twice. */
static bool has_judge(const struct guest *guest) {
    const struct plugin_host *host = guest->ctx ? generation_of(guest)->host : NULL;

    return host && host->crashed && !host->rehearsal;
}

void guest_judge(struct guest *guest, struct process *process) {
    struct plugin_fate fate = {FATE_UNLOADED, 0};

    process->memory = is_memory(guest, process);
    process->hang = is_hang(process);
    process->end_text = process_end_text(process);
    if (has_judge(guest) && !guest_is_leaving(guest)) {
        guest->trial = trial_new(guest, process);
        loop_post_task(generation_of(guest)->host->loop, &guest->trial->task);
        if (await_fate(guest, &fate))
            guest->trial = guest_trial_free(guest->trial);
    }
    process->fate = fate;
}

bool guest_is_leaving(struct guest *guest) {
    (void)pthread_mutex_lock(&guest->lock);
    bool closing = guest->closing;
    (void)pthread_mutex_unlock(&guest->lock);
    return closing || (guest->ctx && atomic_load(&generation_of(guest)->host->leaving));
}
