/* What comes into the registry and what leaves it: whole generations, single tools, changes of several; and its names.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "loop/loop.h"
#include "plugin/generation.h"
#include "plugin/registry_inner.h"

/* ---- names ---- */

/* Whoever is turned away hears of it when the name is free. */
static void want_locked(struct registry *registry, const char *name) {
    (void)map_put(registry->wanted, span_of(name), registry);
}

static void free_name_locked(struct registry *registry, const char *name) {
    (void)map_take(registry->offers, span_of(name));
    if (!map_take(registry->wanted, span_of(name)) || !registry->loop)
        return;
    registry->freed = true;
    loop_post_task(registry->loop, registry->on_free);
}

void registry_on_free(struct registry *registry, struct loop *loop, struct loop_task *task) {
    registry_lock(registry);
    registry->loop = loop;
    registry->on_free = task;
    registry_unlock(registry);
}

bool registry_has_freed(struct registry *registry) {
    registry_lock(registry);
    bool freed = registry->freed;
    registry_unlock(registry);
    return freed;
}

void registry_take_freed(struct registry *registry) {
    registry_lock(registry);
    registry->freed = false;
    registry_unlock(registry);
}

char *registry_other_owner(struct registry *registry, const char *name, const char *plugin) {
    char *owner = NULL;

    registry_lock(registry);
    const struct offer *there = map_get(registry->offers, span_of(name));
    if (there && strcmp(there->generation->name, plugin) != 0) {
        owner = xstrdup(there->generation->name);
        want_locked(registry, name);
    }
    registry_unlock(registry);
    return owner;
}

static int check_free_locked(struct registry *registry, const struct generation *previous,
                             const struct generation *next, const char *name, struct theseus_error *err) {
    const struct offer *there = map_get(registry->offers, span_of(name));

    if (!there || there->generation == previous || there->generation == next)
        return 0;
    want_locked(registry, name);
    return fail(err, ERR_BUSY, "tool '%s' is already offered by plugin '%s'", name, there->generation->name);
}

/* ---- changes ---- */

static void list_locked(struct registry *registry, struct offer *offer) {
    (void)map_put(registry->offers, span_of(offer->tool->name), offer);
    offer->listed = true;
}

static void unlist_locked(struct registry *registry, struct offer *offer) {
    bool was_listed = offer->listed;

    offer->listed = false;
    if (map_get(registry->offers, span_of(offer->tool->name)) != offer)
        return; /* its successor has that place */
    free_name_locked(registry, offer->tool->name);
    if (was_listed)
        late_remember(&registry->late, offer->tool->name, offer->generation->name);
}

static int check_all_locked(struct registry *registry, struct generation *previous, struct generation *next,
                            struct theseus_error *err) {
    list_for_each (link, &next->offers) {
        const struct offer *offer = list_entry(link, struct offer, link);
        if (check_free_locked(registry, previous, next, offer->tool->name, err) < 0)
            return -1;
    }
    return 0;
}

static void list_all_locked(struct registry *registry, struct generation *generation) {
    list_for_each (link, &generation->offers) {
        struct offer *offer = list_entry(link, struct offer, link);
        if (!offer->noted)
            list_locked(registry, offer);
    }
    generation->offering = true;
}

static void unlist_all_locked(struct registry *registry, struct generation *generation) {
    generation->offering = false;
    list_for_each (link, &generation->offers)
        unlist_locked(registry, list_entry(link, struct offer, link));
}

int registry_swap(struct registry *registry, struct generation *previous, struct generation *next,
                  struct theseus_error *err) {
    registry_lock(registry);
    int r = next ? check_all_locked(registry, previous, next, err) : 0;
    if (r == 0 && next)
        list_all_locked(registry, next);
    if (r == 0 && previous)
        unlist_all_locked(registry, previous);
    registry_unlock(registry);
    return r;
}

/* The generation's own offer of that name, after the change that is being made; NULL: none. */
static struct offer *own_offer_locked(const struct generation *generation, const char *name) {
    list_for_each (link, &generation->offers) {
        struct offer *offer = list_entry(link, struct offer, link);
        if (!offer->leaving && strcmp(offer->tool->name, name) == 0)
            return offer;
    }
    return NULL;
}

static size_t count_locked(const struct generation *generation) {
    size_t count = 0;

    list_for_each (link, &generation->offers)
        count += !list_entry(link, struct offer, link)->leaving;
    return count;
}

static void take_out_locked(struct registry *registry, struct offer *offer, struct list *dead) {
    unlist_locked(registry, offer);
    list_remove(&offer->link);
    registry_unref_locked(offer, dead);
}

/* Other threads of the plugin change its tools at once, as always. */
static bool is_changing_locked(const struct generation *generation) {
    return generation->changing && pthread_equal(generation->changer, pthread_self());
}

/* Until the change is made, a new name is only kept free for it. */
static void note_locked(struct registry *registry, struct offer *offer) {
    struct span name = span_of(offer->tool->name);

    offer->noted = true;
    if (offer->generation->offering && !map_get(registry->offers, name))
        (void)map_put(registry->offers, name, offer);
}

static int add_locked(struct registry *registry, struct generation *generation, struct tool *tool,
                      struct theseus_error *err) {
    if (own_offer_locked(generation, tool->name))
        return fail(err, ERR_BUSY, "tool '%s' is there already", tool->name);
    if (count_locked(generation) >= LIMIT_TOOLS_PER_PLUGIN)
        return fail(err, ERR_LIMIT, "tool '%s' is one too many: plugin '%s' has %d, and that is the most", tool->name,
                    generation->name, LIMIT_TOOLS_PER_PLUGIN);
    if (generation->offering && check_free_locked(registry, generation, NULL, tool->name, err) < 0)
        return -1;
    struct offer *offer = offer_new(generation, tool);
    list_append(&generation->offers, &offer->link);
    if (is_changing_locked(generation))
        note_locked(registry, offer);
    else if (generation->offering)
        list_locked(registry, offer);
    return 0;
}

int registry_add(struct registry *registry, struct generation *generation, struct tool *tool,
                 struct theseus_error *err) {
    registry_lock(registry);
    int r = add_locked(registry, generation, tool, err);
    registry_unlock(registry);
    return r;
}

int registry_remove(struct registry *registry, struct generation *generation, const char *name,
                    struct theseus_error *err) {
    struct list dead;

    list_init(&dead);
    registry_lock(registry);
    struct offer *offer = own_offer_locked(generation, name);
    if (offer && !offer->noted && is_changing_locked(generation))
        offer->leaving = true;
    else if (offer)
        take_out_locked(registry, offer, &dead);
    registry_unlock(registry);
    registry_bury(&dead);
    return offer ? 0 : fail(err, ERR_MISSING, "there is no tool '%s'", name);
}

void registry_begin_change(struct registry *registry, struct generation *generation) {
    registry_lock(registry);
    generation->changing = true;
    generation->changer = pthread_self();
    registry_unlock(registry);
}

static void make_change_locked(struct registry *registry, struct generation *generation, struct list *dead) {
    list_for_each (link, &generation->offers) {
        struct offer *offer = list_entry(link, struct offer, link);
        if (offer->noted && generation->offering)
            list_locked(registry, offer);
        offer->noted = false;
    }
    list_for_each (link, &generation->offers) {
        struct offer *offer = list_entry(link, struct offer, link);
        if (offer->leaving)
            take_out_locked(registry, offer, dead);
    }
}

static void drop_change_locked(struct registry *registry, struct generation *generation, struct list *dead) {
    list_for_each (link, &generation->offers) {
        struct offer *offer = list_entry(link, struct offer, link);
        offer->leaving = false;
        if (offer->noted)
            take_out_locked(registry, offer, dead);
    }
}

void registry_end_change(struct registry *registry, struct generation *generation, bool make) {
    struct list dead;

    list_init(&dead);
    registry_lock(registry);
    generation->changing = false;
    if (make)
        make_change_locked(registry, generation, &dead);
    else
        drop_change_locked(registry, generation, &dead);
    registry_unlock(registry);
    registry_bury(&dead);
}

bool registry_is_changing(struct registry *registry, const struct generation *generation) {
    registry_lock(registry);
    bool changing = is_changing_locked(generation);
    registry_unlock(registry);
    return changing;
}

void registry_clear(struct registry *registry, struct generation *generation) {
    struct list dead;

    list_init(&dead);
    registry_lock(registry);
    generation->offering = false;
    list_for_each (link, &generation->offers)
        take_out_locked(registry, list_entry(link, struct offer, link), &dead);
    registry_unlock(registry);
    registry_bury(&dead);
}
