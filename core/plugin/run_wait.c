/* Runs that wait, and have nothing of a plugin's meanwhile: while their plugin is being replaced, or during a pause. */
#include "plugin/generation.h"
#include "plugin/run.h"

bool run_is_paused(const struct run *run) {
    const struct run_pause *pause = run->host->pause;

    return pause && atomic_load(run->request->urgent ? &pause->all : &pause->on);
}

/* Those that were suspended, taken back or held elsewhere come late, and were accepted early. */
static void wait_for_resume(struct run *run) ON_LOOP {
    struct list *runs = &run->host->pause->runs, *before = runs->prev;

    while (before != runs &&
           list_entry(before, struct run, wait_link)->request->accepted_ns > run->request->accepted_ns)
        before = before->prev;
    list_append(before->next, &run->wait_link); /* in front of what follows */
}

void run_wait(struct run *run, struct generation *held_by) {
    if (held_by)
        list_append(&held_by->held, &run->wait_link);
    else
        wait_for_resume(run);
}

/* ---- taking back ---- */

/* Under the registry's lock: a run that is taken back here has not entered its handler and will not. */
static bool take_back(struct list *link) {
    struct run *run = list_entry(link, struct run, queue_link);

    if (!run->serial || !list_is_linked(&run->wait_link))
        return workers_retract(run->host->workers, &run->work);
    list_remove(&run->wait_link); /* it only waited for its turn */
    run->serial = false;
    return true;
}

static bool take_back_unless_urgent(struct list *link) {
    return !list_entry(link, struct run, queue_link)->request->urgent && take_back(link);
}

/* Whoever waited for the turn of one of these was taken back too, and gets it in its order, or is urgent. */
static void hold_queued(struct generation *generation, bool (*take)(struct list *link),
                        struct generation *held_by) ON_LOOP {
    struct list taken;

    list_init(&taken);
    registry_take_queued(generation->host->registry, generation, take, &taken);
    list_for_each (link, &taken) {
        struct run *run = list_entry(link, struct run, queue_link);
        list_remove(link);
        run_leave_offer(run);
        run_wait(run, held_by);
    }
}

void run_hold_queued(struct generation *generation) {
    hold_queued(generation, take_back, generation);
}

void run_pause_queued(struct generation *generation) {
    hold_queued(generation, take_back_unless_urgent, NULL);
}

/* ---- going on ---- */

static void release(struct list *waiting) ON_LOOP {
    struct list runs;

    list_init(&runs);
    list_splice(&runs, waiting);
    list_for_each (link, &runs) {
        struct run *run = list_entry(link, struct run, wait_link);
        list_remove(link);
        if (call_is_over(run->request))
            (void)run_unref(run);
        else
            run_begin(run);
    }
}

void run_release_held(struct generation *from) {
    release(&from->held);
}

void run_release_paused(const struct plugin_host *host) {
    release(&host->pause->runs);
}

void run_drop_paused(const struct plugin_host *host) {
    list_for_each (link, &host->pause->runs) {
        list_remove(link);
        (void)run_unref(list_entry(link, struct run, wait_link));
    }
}
