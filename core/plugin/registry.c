#include "plugin/registry.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/map.h"
#include "plugin/generation.h"
#include "rpc/jsontext.h"

enum { LATE_MAX = 256 };

/* A tool that is gone, so that a client with an old list is told what became of it. */
struct late {
    char *name, *owner;
};

struct registry {
    pthread_mutex_t lock;
    pthread_cond_t changed;     /* somebody may go on who waits in registry_wait() */
    struct map *offers;         /* name → struct offer */
    char **hidden;              /* owned, NULL-terminated; NULL: none */
    struct late late[LATE_MAX]; /* a ring */
    size_t next_late;
};

struct registry *registry_new(void) {
    struct registry *registry = xcalloc(1, sizeof(*registry));

    (void)pthread_mutex_init(&registry->lock, NULL);
    (void)pthread_cond_init(&registry->changed, NULL);
    registry->offers = map_new();
    return registry;
}

static void free_patterns(char **patterns) {
    for (char **pattern = patterns; pattern && *pattern; pattern++)
        free(*pattern);
    free(patterns);
}

struct registry *registry_free(struct registry *registry) {
    if (!registry)
        return NULL;
    registry->offers = map_free(registry->offers);
    free_patterns(registry->hidden);
    for (size_t i = 0; i < LATE_MAX; i++) {
        free(registry->late[i].name);
        free(registry->late[i].owner);
    }
    (void)pthread_cond_destroy(&registry->changed);
    (void)pthread_mutex_destroy(&registry->lock);
    free(registry);
    return NULL;
}

static void lock(struct registry *registry) {
    (void)pthread_mutex_lock(&registry->lock);
}

static void unlock(struct registry *registry) {
    (void)pthread_mutex_unlock(&registry->lock);
}

/* ---- offers ---- */

static json_t *annotations_new(unsigned flags) {
    bool read_only = flags & THESEUS_READ_ONLY;
    unsigned said = THESEUS_READ_ONLY | THESEUS_DESTRUCTIVE | THESEUS_IDEMPOTENT;

    return json_pack("{s:b, s:b, s:b, s:b}", "readOnlyHint", read_only, "destructiveHint",
                     !read_only && ((flags & THESEUS_DESTRUCTIVE) || !(flags & said)), "idempotentHint",
                     (flags & (THESEUS_IDEMPOTENT | THESEUS_READ_ONLY)) != 0, "openWorldHint",
                     (flags & THESEUS_OPEN_WORLD) != 0);
}

static json_t *entry_new(const struct tool *tool) {
    return json_pack("{s:s, s:s*, s:s*, s:O, s:O*, s:o}", "name", tool->name, "title", tool->title, "description",
                     tool->description, "inputSchema", tool->input_schema, "outputSchema", tool->output_schema,
                     "annotations", annotations_new(tool->flags));
}

static struct offer *offer_new(struct generation *generation, struct tool *tool) {
    struct offer *offer = xcalloc(1, sizeof(*offer));

    offer->tool = tool;
    offer->generation = generation;
    offer->entry = entry_new(tool);
    offer->refs = 1;
    list_init(&offer->link);
    list_init(&offer->serial_waiting);
    return offer;
}

static void offer_unref_locked(struct offer *offer) {
    if (--offer->refs > 0)
        return;
    offer->tool = tool_free(offer->tool);
    json_decref(offer->entry);
    free(offer);
}

static bool is_hidden_locked(const struct registry *registry, const char *name) {
    for (char **pattern = registry->hidden; pattern && *pattern; pattern++)
        if (fnmatch(*pattern, name, 0) == 0)
            return true;
    return false;
}

struct offer *registry_find(struct registry *registry, const char *name) {
    lock(registry);
    struct offer *offer = map_get(registry->offers, span_of(name));
    if (offer && registry->hidden && is_hidden_locked(registry, name))
        offer = NULL;
    if (offer) {
        offer->refs++;
        offer->generation->pins++;
    }
    unlock(registry);
    return offer;
}

/* The last run is over: whoever waits for that (a replacement, the end) hears of it on the loop. */
static void unpin_locked(struct generation *generation) {
    generation->pins--;
    if (generation->pins == 0 && generation->notify)
        loop_post_task(generation->idle_loop, &generation->idle);
}

void registry_release(struct registry *registry, struct offer *offer) {
    lock(registry);
    unpin_locked(offer->generation);
    offer_unref_locked(offer);
    unlock(registry);
}

void registry_pin(struct registry *registry, struct generation *generation) {
    lock(registry);
    generation->pins++;
    unlock(registry);
}

void registry_unpin(struct registry *registry, struct generation *generation) {
    lock(registry);
    unpin_locked(generation);
    unlock(registry);
}

bool registry_serial_enter(struct registry *registry, struct offer *offer, struct list *waiter) {
    lock(registry);
    bool free_now = !offer->serial_busy;
    offer->serial_busy = true;
    if (!free_now && waiter)
        list_append(&offer->serial_waiting, waiter);
    unlock(registry);
    return free_now;
}

struct list *registry_serial_leave(struct registry *registry, struct offer *offer) {
    lock(registry);
    struct list *next = list_empty(&offer->serial_waiting) ? NULL : offer->serial_waiting.next;
    if (next)
        list_remove(next);
    else
        offer->serial_busy = false;
    (void)pthread_cond_broadcast(&registry->changed);
    unlock(registry);
    return next;
}

void registry_enqueue(struct registry *registry, struct generation *generation, struct list *link) {
    lock(registry);
    list_append(&generation->queued, link);
    unlock(registry);
}

void registry_dequeue(struct registry *registry, struct list *link) {
    lock(registry);
    list_remove(link);
    unlock(registry);
}

void registry_take_queued(struct registry *registry, struct generation *generation, bool (*take)(struct list *link),
                          struct list *taken) {
    lock(registry);
    list_for_each (link, &generation->queued) {
        if (!take(link))
            continue;
        list_remove(link);
        list_append(taken, link);
    }
    unlock(registry);
}

void registry_wait(struct registry *registry) {
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    lock(registry);
    (void)pthread_cond_timedwait(&registry->changed, &registry->lock, &until);
    unlock(registry);
}

/* ---- changes ---- */

static int check_free_locked(const struct registry *registry, const struct generation *previous,
                             const struct generation *next, const char *name, struct theseus_error *err) {
    const struct offer *there = map_get(registry->offers, span_of(name));

    if (!there || there->generation == previous || there->generation == next)
        return 0;
    return fail(err, ERR_BUSY, "tool '%s' is already offered by plugin '%s'", name, there->generation->name);
}

static void list_locked(struct registry *registry, struct offer *offer) {
    (void)map_put(registry->offers, span_of(offer->tool->name), offer);
    offer->listed = true;
}

static void remember_late_locked(struct registry *registry, const struct offer *offer) {
    struct late *late = &registry->late[registry->next_late++ % LATE_MAX];

    free(late->name);
    free(late->owner);
    *late = (struct late){xstrdup(offer->tool->name), xstrdup(offer->generation->name)};
}

static void unlist_locked(struct registry *registry, struct offer *offer) {
    if (!offer->listed)
        return;
    offer->listed = false;
    if (map_get(registry->offers, span_of(offer->tool->name)) != offer)
        return; /* its successor has that place */
    (void)map_take(registry->offers, span_of(offer->tool->name));
    remember_late_locked(registry, offer);
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

int registry_swap(struct registry *registry, struct generation *previous, struct generation *next,
                  struct theseus_error *err) {
    lock(registry);
    int r = next ? check_all_locked(registry, previous, next, err) : 0;
    if (r == 0 && next)
        list_for_each (link, &next->offers)
            list_locked(registry, list_entry(link, struct offer, link));
    if (r == 0 && next)
        next->offering = true;
    if (r == 0 && previous) {
        previous->offering = false;
        list_for_each (link, &previous->offers)
            unlist_locked(registry, list_entry(link, struct offer, link));
    }
    unlock(registry);
    return r;
}

/* The generation's own offer of that name; NULL: none. */
static struct offer *own_offer_locked(const struct generation *generation, const char *name) {
    list_for_each (link, &generation->offers) {
        struct offer *offer = list_entry(link, struct offer, link);
        if (strcmp(offer->tool->name, name) == 0)
            return offer;
    }
    return NULL;
}

static void take_out_locked(struct registry *registry, struct offer *offer) {
    unlist_locked(registry, offer);
    list_remove(&offer->link);
    offer_unref_locked(offer);
}

static int add_locked(struct registry *registry, struct generation *generation, struct tool *tool,
                      struct theseus_error *err) {
    struct offer *before = own_offer_locked(generation, tool->name);

    if (before && !before->leaving)
        return fail(err, ERR_BUSY, "tool '%s' is there already", tool->name);
    if (generation->offering && check_free_locked(registry, generation, NULL, tool->name, err) < 0)
        return -1;
    struct offer *offer = offer_new(generation, tool);
    list_append(&generation->offers, &offer->link);
    if (generation->offering)
        list_locked(registry, offer);
    if (before)
        take_out_locked(registry, before);
    return 0;
}

int registry_add(struct registry *registry, struct generation *generation, struct tool *tool,
                 struct theseus_error *err) {
    lock(registry);
    int r = add_locked(registry, generation, tool, err);
    unlock(registry);
    return r;
}

int registry_remove(struct registry *registry, struct generation *generation, const char *name,
                    struct theseus_error *err) {
    lock(registry);
    struct offer *offer = own_offer_locked(generation, name);
    bool there = offer && !offer->leaving;
    if (there && generation->changing)
        offer->leaving = true;
    else if (there)
        take_out_locked(registry, offer);
    unlock(registry);
    return there ? 0 : fail(err, ERR_MISSING, "there is no tool '%s'", name);
}

void registry_begin_change(struct registry *registry, struct generation *generation) {
    lock(registry);
    generation->changing = true;
    unlock(registry);
}

void registry_end_change(struct registry *registry, struct generation *generation) {
    lock(registry);
    generation->changing = false;
    list_for_each (link, &generation->offers)
        if (list_entry(link, struct offer, link)->leaving)
            take_out_locked(registry, list_entry(link, struct offer, link));
    unlock(registry);
}

void registry_clear(struct registry *registry, struct generation *generation) {
    lock(registry);
    generation->offering = false;
    list_for_each (link, &generation->offers)
        take_out_locked(registry, list_entry(link, struct offer, link));
    unlock(registry);
}

void registry_hide(struct registry *registry, char *const *patterns) {
    size_t count = 0;

    while (patterns && patterns[count])
        count++;
    char **copy = xcalloc(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        copy[i] = xstrdup(patterns[i]);
    lock(registry);
    char **before = registry->hidden;
    registry->hidden = count ? copy : NULL;
    unlock(registry);
    if (!count)
        free(copy);
    free_patterns(before);
}

/* ---- what there is ---- */

struct listing {
    struct registry *registry;
    struct offer **offers;
    size_t count;
};

static void collect(struct span key, void *value, void *arg) {
    struct listing *listing = arg;
    struct offer *offer = value;

    (void)key;
    if (!is_hidden_locked(listing->registry, offer->tool->name))
        listing->offers[listing->count++] = offer;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(struct offer *const *)a)->tool->name, (*(struct offer *const *)b)->tool->name);
}

json_t *registry_list_new(struct registry *registry) {
    json_t *list = json_array();

    lock(registry);
    struct listing listing = {registry, xcalloc(map_count(registry->offers), sizeof(struct offer *)), 0};
    map_each(registry->offers, collect, &listing);
    qsort(listing.offers, listing.count, sizeof(struct offer *), by_name);
    for (size_t i = 0; list && i < listing.count; i++)
        if (json_array_append(list, listing.offers[i]->entry) < 0)
            list = (json_decref(list), NULL);
    unlock(registry);
    free(listing.offers);
    return list;
}

void registry_digest(struct registry *registry, char text[static 33]) {
    CLEANUP(buf_fini) struct buf canonical = {0};
    json_auto_t *list = registry_list_new(registry);

    if (!list || jsontext_write_sorted(list, &canonical, NULL) < 0)
        abort(); /* no memory for the tool list itself */
    hash_text(buf_span(&canonical), text);
}

const char *registry_late_owner(struct registry *registry, const char *name) {
    const char *owner = NULL;

    lock(registry);
    for (size_t i = 0; i < LATE_MAX; i++)
        if (registry->late[i].name && strcmp(registry->late[i].name, name) == 0)
            owner = registry->late[i].owner;
    unlock(registry);
    return owner;
}

json_t *registry_names_new(struct registry *registry, const struct generation *generation) {
    json_t *names = json_array();

    lock(registry);
    list_for_each (link, &generation->offers)
        (void)json_array_append_new(names, json_string(list_entry(link, struct offer, link)->tool->name));
    unlock(registry);
    return names;
}

json_t *registry_busy_names_new(struct registry *registry, const struct generation *generation) {
    json_t *names = json_array();

    lock(registry);
    list_for_each (link, &generation->offers) {
        const struct offer *offer = list_entry(link, struct offer, link);
        for (int runs = offer->refs - 1; runs > 0; runs--)
            (void)json_array_append_new(names, json_string(offer->tool->name));
    }
    unlock(registry);
    return names;
}

int registry_pins(struct registry *registry, const struct generation *generation) {
    lock(registry);
    int pins = generation->pins;
    unlock(registry);
    return pins;
}

int registry_set_waiting(struct registry *registry, struct generation *generation, bool notify, bool holding) {
    lock(registry);
    generation->notify = notify;
    generation->holding = holding;
    (void)pthread_cond_broadcast(&registry->changed);
    int pins = generation->pins;
    unlock(registry);
    return pins;
}
