#include "plugin/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "plugin/generation.h"
#include "plugin/registry_inner.h"

struct registry *registry_new(void) {
    struct registry *registry = xcalloc(1, sizeof(*registry));

    (void)pthread_mutex_init(&registry->lock, NULL);
    (void)pthread_cond_init(&registry->changed, NULL);
    registry->offers = map_new();
    registry->wanted = map_new();
    return registry;
}

struct registry *registry_free(struct registry *registry) {
    if (!registry)
        return NULL;
    registry->offers = map_free(registry->offers);
    registry->wanted = map_free(registry->wanted);
    registry_hide(registry, NULL);
    registry_set_access(registry, NULL);
    late_fini(&registry->late);
    (void)pthread_cond_destroy(&registry->changed);
    (void)pthread_mutex_destroy(&registry->lock);
    free(registry);
    return NULL;
}

void registry_lock(struct registry *registry) {
    (void)pthread_mutex_lock(&registry->lock);
}

void registry_unlock(struct registry *registry) {
    (void)pthread_mutex_unlock(&registry->lock);
}

/* ---- offers ---- */

void registry_unref_locked(struct offer *offer, struct list *dead) {
    if (--offer->refs == 0)
        list_append(dead, &offer->link);
}

void registry_bury(struct list *dead) {
    list_for_each (link, dead)
        (void)offer_free(list_entry(link, struct offer, link));
}

struct offer *registry_find(struct registry *registry, const char *name) {
    registry_lock(registry);
    struct offer *offer = map_get(registry->offers, span_of(name));
    if (offer && (!offer->listed || registry_hides_locked(registry, name)))
        offer = NULL;
    if (offer) {
        offer->refs++;
        offer->generation->pins++;
    }
    registry_unlock(registry);
    return offer;
}

bool registry_tool_flags(struct registry *registry, const char *name, unsigned *ret_flags) {
    registry_lock(registry);
    const struct offer *offer = map_get(registry->offers, span_of(name));
    bool offered = offer && offer->listed && !registry_hides_locked(registry, name);
    if (offered)
        *ret_flags = offer->tool->flags;
    registry_unlock(registry);
    return offered;
}

/* The last run is over: whoever waits for that (a replacement, the end) hears of it on the loop. */
static void unpin_locked(struct generation *generation) {
    generation->pins--;
    if (generation->pins == 0 && generation->notify)
        loop_post_task(generation->idle_loop, &generation->idle);
}

/* What the offer holds of the plugin's goes before the pin that keeps the plugin's code. */
void registry_release(struct registry *registry, struct offer *offer) {
    struct generation *generation = offer->generation;
    struct list dead;

    list_init(&dead);
    registry_lock(registry);
    registry_unref_locked(offer, &dead);
    bool last = !list_empty(&dead);
    if (!last)
        unpin_locked(generation);
    registry_unlock(registry);
    if (!last)
        return;
    registry_bury(&dead);
    registry_unpin(registry, generation);
}

void registry_pin(struct registry *registry, struct generation *generation) {
    registry_lock(registry);
    generation->pins++;
    registry_unlock(registry);
}

void registry_unpin(struct registry *registry, struct generation *generation) {
    registry_lock(registry);
    unpin_locked(generation);
    registry_unlock(registry);
}

bool registry_serial_enter(struct registry *registry, struct offer *offer, struct list *waiter) {
    registry_lock(registry);
    bool mine = turn_enter(&offer->turn, waiter);
    registry_unlock(registry);
    return mine;
}

struct list *registry_serial_leave(struct registry *registry, struct offer *offer) {
    registry_lock(registry);
    struct list *next = turn_leave(&offer->turn);
    (void)pthread_cond_broadcast(&registry->changed);
    registry_unlock(registry);
    return next;
}

void registry_enqueue(struct registry *registry, struct generation *generation, struct list *link) {
    registry_lock(registry);
    list_append(&generation->queued, link);
    registry_unlock(registry);
}

void registry_dequeue(struct registry *registry, struct list *link) {
    registry_lock(registry);
    list_remove(link);
    registry_unlock(registry);
}

void registry_take_queued(struct registry *registry, struct generation *generation, bool (*take)(struct list *link),
                          struct list *taken) {
    registry_lock(registry);
    list_for_each (link, &generation->queued) {
        if (!take(link))
            continue;
        list_remove(link);
        list_append(taken, link);
    }
    registry_unlock(registry);
}

void registry_wait(struct registry *registry) {
    const struct timespec until = clock_in_ms(100);

    registry_lock(registry);
    (void)pthread_cond_clockwait(&registry->changed, &registry->lock, CLOCK_MONOTONIC, &until);
    registry_unlock(registry);
}

int registry_pins(struct registry *registry, const struct generation *generation) {
    registry_lock(registry);
    int pins = generation->pins;
    registry_unlock(registry);
    return pins;
}

int registry_set_waiting(struct registry *registry, struct generation *generation, bool notify, bool holding) {
    registry_lock(registry);
    generation->notify = notify;
    generation->holding = holding;
    (void)pthread_cond_broadcast(&registry->changed);
    int pins = generation->pins;
    registry_unlock(registry);
    return pins;
}
