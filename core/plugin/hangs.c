#include "plugin/hangs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/lack.h"
#include "loop/stall.h"
#include "loop/timer.h"
#include "plugin/generation.h"
#include "plugin/run.h"

enum { LOOK_MS = 250 };

struct hang {
    struct list link;
    char *plugin, *tool, *slot; /* owned; tool or slot is NULL */
    int64_t since_ns;           /* when the call was given up, or the slot's limit had passed */
    bool told;                  /* the log has it */
};

struct hangs {
    struct hangs_spec spec;
    struct timer *timer; /* runs while a handler is at work */
    struct stall *stall; /* owned: made when it is first needed */
    struct lack lack;    /* of its thread */
    struct loop_task returned, entered;
    bool looking; /* the timer runs; written by the loop's thread, and with the lock */
    atomic_bool served;
    struct list slots;    /* hang::link, owned; loop */
    pthread_mutex_t lock; /* of what follows */
    struct list stays;    /* stay::link */
    struct list stuck;    /* hang::link, owned: workers */
    struct list back;     /* the same: they have come back, and the log does not know yet */
    int stuck_count;      /* in `stuck` */
};

/* ---- one of them ---- */

static struct hang *hang_new(const char *plugin, const char *tool, const char *slot, int64_t since_ns) {
    struct hang *hang = xcalloc(1, sizeof(*hang));

    hang->plugin = xstrdup(plugin);
    hang->tool = tool ? xstrdup(tool) : NULL;
    hang->slot = slot ? xstrdup(slot) : NULL;
    hang->since_ns = since_ns;
    return hang;
}

static struct hang *hang_free(struct hang *hang) {
    list_remove(&hang->link);
    free(hang->plugin);
    free(hang->tool);
    free(hang->slot);
    free(hang);
    return NULL;
}

static void free_all(struct list *list) {
    list_for_each (link, list)
        (void)hang_free(list_entry(link, struct hang, link));
}

static double seconds_of(const struct hang *hang) {
    return (double)(clock_now_ns() - hang->since_ns) / 1e9;
}

/* ---- looking ---- */

/* A call that is over by itself is answered by its handler, which is on its way out. */
static bool is_given_up(const struct run *run) {
    return atomic_load(&run->request->cancelled);
}

/* With the lock. */
static void look_at(struct hangs *hangs, struct stay *stay, int64_t now_ns) {
    struct run *run = container_of(stay, struct run, stay);

    if (stay->hang || !is_given_up(run))
        return;
    if (stay->given_up_ns == 0)
        stay->given_up_ns = now_ns;
    if (now_ns - stay->given_up_ns < hangs->spec.stuck_ms * 1000000)
        return;
    stay->hang = hang_new(run->offer->generation->name, run->name, NULL, stay->given_up_ns);
    list_append(&hangs->stuck, &stay->hang->link);
    hangs->stuck_count++;
}

/* With the lock. */
static void tell_new(struct hangs *hangs) {
    list_for_each (link, &hangs->stuck) {
        struct hang *hang = list_entry(link, struct hang, link);
        if (!hang->told)
            log_error("a thread is stuck: tool '%s' of plugin '%s' has not returned for %.0f s since its call was "
                      "given up",
                      hang->tool, hang->plugin, seconds_of(hang));
        hang->told = true;
    }
}

/* With the lock. */
static void tell_returned(struct hangs *hangs) {
    list_for_each (link, &hangs->back) {
        struct hang *hang = list_entry(link, struct hang, link);
        log_warning("a stuck thread has come back after all: tool '%s' of plugin '%s', after %.0f s", hang->tool,
                    hang->plugin, seconds_of(hang));
        (void)hang_free(hang);
    }
}

static void look(struct hangs *hangs) ON_LOOP {
    int64_t now_ns = clock_now_ns();

    (void)pthread_mutex_lock(&hangs->lock);
    list_for_each (link, &hangs->stays)
        look_at(hangs, list_entry(link, struct stay, link), now_ns);
    bool changed = !list_empty(&hangs->back);
    tell_new(hangs);
    tell_returned(hangs);
    int stuck = hangs->stuck_count;
    hangs->looking = hangs->looking && !list_empty(&hangs->stays); /* where nobody looks, hangs_enter() has it begun */
    (void)pthread_mutex_unlock(&hangs->lock);
    if (!hangs->looking)
        timer_stop(hangs->timer);
    if (hangs->spec.workers)
        workers_set_stuck(hangs->spec.workers, stuck);
    if (hangs->spec.looked && (stuck > 0 || changed))
        hangs->spec.looked(hangs->spec.arg);
}

static void on_time(void *arg) {
    loop_enter();
    look(arg);
}

static void on_returned(void *arg) {
    loop_enter();
    look(arg);
}

void hangs_watch(struct hangs *hangs) {
    if (hangs->looking)
        return;
    (void)pthread_mutex_lock(&hangs->lock);
    hangs->looking = true;
    (void)pthread_mutex_unlock(&hangs->lock);
    timer_start(hangs->timer, LOOK_MS, LOOK_MS);
}

static void on_entered(void *arg) {
    loop_enter();
    hangs_watch(arg);
}

/* ---- on the handlers' threads ---- */

void hangs_enter(struct hangs *hangs, struct run *run) {
    run->stay.given_up_ns = 0;
    run->stay.hang = NULL;
    (void)pthread_mutex_lock(&hangs->lock);
    list_append(&hangs->stays, &run->stay.link);
    bool unseen = !hangs->looking;
    (void)pthread_mutex_unlock(&hangs->lock);
    if (unseen) /* it has waited for a thread until nobody looked any more */
        loop_post_task(hangs->spec.loop, &hangs->entered);
}

void hangs_leave(struct hangs *hangs, struct run *run) {
    struct hang *hang;

    (void)pthread_mutex_lock(&hangs->lock);
    list_remove(&run->stay.link);
    hang = TAKE_PTR(run->stay.hang);
    if (hang) {
        hangs->stuck_count--;
        list_remove(&hang->link);
        list_append(&hangs->back, &hang->link);
    }
    (void)pthread_mutex_unlock(&hangs->lock);
    if (hang)
        loop_post_task(hangs->spec.loop, &hangs->returned);
}

/* ---- on the loop's thread ---- */

static void watch_loop(struct hangs *hangs) ON_LOOP {
    struct theseus_error err = {0};

    if (!hangs->spec.stalled)
        return;
    if (stall_new(&hangs->stall, hangs->spec.stalled, hangs->spec.arg, &err) == 0)
        lack_end(hangs->spec.loop, &hangs->lack);
    else
        lack_begin(hangs->spec.loop, &hangs->lack, "a tool that hangs on the loop's thread would not be noticed", &err);
}

void hangs_enter_inline(struct hangs *hangs, int64_t limit_ms) {
    if (!hangs->stall)
        watch_loop(hangs);
    if (hangs->stall)
        stall_enter(hangs->stall, limit_ms);
}

void hangs_leave_inline(struct hangs *hangs) {
    if (hangs->stall)
        stall_leave(hangs->stall);
}

void hangs_note_served(struct hangs *hangs) {
    if (!atomic_load_explicit(&hangs->served, memory_order_relaxed))
        atomic_store(&hangs->served, true);
}

bool hangs_have_served(const struct hangs *hangs) {
    return atomic_load(&hangs->served);
}

/* ---- slots ---- */

struct hang *hangs_add_slot(struct hangs *hangs, const char *plugin, const char *slot) {
    struct hang *hang = hang_new(plugin, NULL, slot, clock_now_ns());

    hang->told = true;
    log_error("a thread is stuck: '%s' of plugin '%s' has not returned within its limit", slot, plugin);
    list_append(&hangs->slots, &hang->link);
    return hang;
}

void hangs_slot_returned(struct hangs *hangs, struct hang *hang) {
    (void)hangs;
    if (!hang)
        return;
    log_warning("a stuck thread has come back after all: '%s' of plugin '%s', after %.0f s", hang->slot, hang->plugin,
                seconds_of(hang));
    (void)hang_free(hang);
}

/* ---- life ---- */

struct hangs *hangs_new(const struct hangs_spec *spec) {
    struct hangs *hangs = xcalloc(1, sizeof(*hangs));

    hangs->spec = *spec;
    hangs->timer = timer_new(spec->loop, on_time, hangs);
    hangs->returned = (struct loop_task){.run = on_returned, .arg = hangs};
    hangs->entered = (struct loop_task){.run = on_entered, .arg = hangs};
    list_init(&hangs->slots);
    list_init(&hangs->stays);
    list_init(&hangs->stuck);
    list_init(&hangs->back);
    (void)pthread_mutex_init(&hangs->lock, NULL);
    return hangs;
}

void hangs_let_go(struct hangs *hangs) {
    hangs->spec.workers = NULL;
    hangs->spec.looked = NULL;
}

struct hangs *hangs_free(struct hangs *hangs) {
    if (!hangs)
        return NULL;
    loop_forget(hangs->spec.loop, &hangs->returned);
    loop_forget(hangs->spec.loop, &hangs->entered);
    hangs->timer = timer_free(hangs->timer);
    hangs->stall = stall_free(hangs->stall);
    lack_end(hangs->spec.loop, &hangs->lack);
    free_all(&hangs->slots);
    free_all(&hangs->stuck);
    free_all(&hangs->back);
    (void)pthread_mutex_destroy(&hangs->lock);
    free(hangs);
    return NULL;
}

/* ---- what there is to be seen ---- */

static void lock(const struct hangs *hangs) {
    (void)pthread_mutex_lock((pthread_mutex_t *)&hangs->lock); /* the lock is no part of the value */
}

static void unlock(const struct hangs *hangs) {
    (void)pthread_mutex_unlock((pthread_mutex_t *)&hangs->lock);
}

int hangs_workers(const struct hangs *hangs) {
    lock(hangs);
    int stuck = hangs->stuck_count;
    unlock(hangs);
    return stuck;
}

static void report(const struct list *list, json_t *into) {
    for (const struct list *link = list->next; link != list; link = link->next) {
        const struct hang *hang = list_entry((struct list *)(uintptr_t)link, struct hang, link);
        (void)json_array_append_new(into, json_pack("{s:s, s:s*, s:s*, s:f}", "plugin", hang->plugin, "tool",
                                                    hang->tool, "slot", hang->slot, "stuck_s", seconds_of(hang)));
    }
}

json_t *hangs_report_new(const struct hangs *hangs) {
    json_t *list = json_array();

    lock(hangs);
    report(&hangs->stuck, list);
    unlock(hangs);
    report(&hangs->slots, list);
    return list;
}

char *hangs_workers_text(const struct hangs *hangs) {
    char *text = xstrdup("");

    lock(hangs);
    for (const struct list *link = hangs->stuck.next; link != &hangs->stuck; link = link->next) {
        const struct hang *hang = list_entry((struct list *)(uintptr_t)link, struct hang, link);
        CLEANUP(free) char *before = text;
        text = xasprintf("%s%stool '%s' of plugin '%s'", before, *before ? ", " : "", hang->tool, hang->plugin);
    }
    unlock(hangs);
    return text;
}
