/* What can be seen of the registry: its list of tools, what is hidden of it, and what was there lately. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include <theseus/plugin.h>

#include "base/buf.h"
#include "base/hash.h"
#include "config/config.h"
#include "config/principal.h"
#include "config/words.h"
#include "plugin/generation.h"
#include "plugin/registry_inner.h"
#include "plugin/resource.h"
#include "rpc/jsontext.h"

/* ---- what is hidden ---- */

/* The patterns are for names of tools. */
bool registry_hides_locked(const struct registry *registry, const char *name) {
    if (strstr(name, "://"))
        return false;
    for (char **pattern = registry->hidden; pattern && *pattern; pattern++)
        if (fnmatch(*pattern, name, 0) == 0)
            return true;
    return false;
}

static void exchange_locked(char ***words, char *const *next) {
    (void)words_free(*words);
    *words = next ? words_copy(next) : NULL;
}

void registry_hide(struct registry *registry, char *const *patterns) {
    registry_lock(registry);
    exchange_locked(&registry->hidden, patterns);
    registry_unlock(registry);
}

void registry_set_access(struct registry *registry, const struct config *config) {
    registry_lock(registry);
    exchange_locked(&registry->call, config ? config->access.call : NULL);
    exchange_locked(&registry->deny, config ? config->access.deny : NULL);
    exchange_locked(&registry->hide, config ? config->access.hide : NULL);
    registry_unlock(registry);
}

/* Without a configuration everything is free. */
static enum registry_access find_rule(const struct registry *registry, const char *name, long uid,
                                      const char **ret_rule) {
    if (registry->call && !principal_listed(registry->call, uid))
        return REGISTRY_NO_CALLS;
    if (strstr(name, "://"))
        return REGISTRY_FREE;
    if ((*ret_rule = principal_rule(registry->hide, name, uid)))
        return REGISTRY_HIDDEN;
    return (*ret_rule = principal_rule(registry->deny, name, uid)) ? REGISTRY_DENIED : REGISTRY_FREE;
}

enum registry_access registry_access(struct registry *registry, const char *name, long uid, char **ret_rule) {
    const char *rule = NULL;

    registry_lock(registry);
    enum registry_access access = find_rule(registry, name, uid, &rule);
    *ret_rule = rule ? xstrdup(rule) : NULL;
    registry_unlock(registry);
    return access;
}

bool registry_hides_from(struct registry *registry, const char *name, long uid) {
    registry_lock(registry);
    bool hides = principal_rule(registry->hide, name, uid) != NULL;
    registry_unlock(registry);
    return hides;
}

/* ---- what there is ---- */

enum listed { TOOLS, RESOURCES, TEMPLATES };

struct listing {
    struct registry *registry;
    enum listed what;
    struct offer **offers;
    size_t count;
};

static enum listed kind_of(const struct offer *offer) {
    const struct resource *resource = offer->tool->resource;

    return !resource ? TOOLS : resource->is_template ? TEMPLATES : RESOURCES;
}

static void collect(struct span key, void *value, void *arg) {
    struct listing *listing = arg;
    struct offer *offer = value;

    (void)key;
    if (offer->listed && kind_of(offer) == listing->what && !(offer->tool->flags & THESEUS_HIDDEN) &&
        !registry_hides_locked(listing->registry, offer->tool->name))
        listing->offers[listing->count++] = offer;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(struct offer *const *)a)->tool->name, (*(struct offer *const *)b)->tool->name);
}

/* Sorted by name. To be freed, before the lock is let go. */
static struct listing listing_locked(struct registry *registry, enum listed what) {
    struct listing listing = {registry, what, xcalloc(map_count(registry->offers), sizeof(struct offer *)), 0};

    map_each(registry->offers, collect, &listing);
    qsort(listing.offers, listing.count, sizeof(struct offer *), by_name);
    return listing;
}

static json_t *list_new(struct registry *registry, enum listed what) ON_LOOP {
    json_t *list = json_array();

    registry_lock(registry);
    struct listing listing = listing_locked(registry, what);
    for (size_t i = 0; list && i < listing.count; i++) {
        json_t *entry = offer_entry(listing.offers[i]);
        if (entry && json_array_append(list, entry) < 0)
            list = (json_decref(list), NULL);
    }
    registry_unlock(registry);
    free(listing.offers);
    return list;
}

json_t *registry_list_new(struct registry *registry) {
    return list_new(registry, TOOLS);
}

json_t *registry_resources_new(struct registry *registry, bool templates) {
    return list_new(registry, templates ? TEMPLATES : RESOURCES);
}

struct search {
    const char *uri;
    json_t *args; /* of what was found */
    char *name;
};

static void try_one(struct span key, void *value, void *arg) {
    const struct offer *offer = value;
    struct search *search = arg;

    (void)key;
    if (search->name || !offer->listed || !offer->tool->resource)
        return;
    search->args = resource_match_new(offer->tool, search->uri);
    if (search->args)
        search->name = xstrdup(offer->tool->name);
}

char *registry_find_resource(struct registry *registry, const char *uri, json_t **ret_args) {
    struct search search = {.uri = uri};

    registry_lock(registry);
    struct offer *exact = map_get(registry->offers, span_of(uri));
    if (exact)
        try_one((struct span){0}, exact, &search);
    if (!search.name)
        map_each(registry->offers, try_one, &search);
    registry_unlock(registry);
    *ret_args = search.args;
    return search.name;
}

static void find_unwanted(struct span key, void *value, void *arg) {
    struct offer *offer = value, **found = arg;

    (void)key;
    if (!*found && offer->listed && !offer->wanted)
        *found = offer;
}

bool registry_list_ahead(struct registry *registry) {
    struct offer *offer = NULL;

    registry_lock(registry);
    map_each(registry->offers, find_unwanted, &offer);
    if (offer)
        (void)offer_entry(offer);
    registry_unlock(registry);
    return offer;
}

static void add_line(struct buf *all, const char *text) {
    if (buf_printf(all, NULL, "%s\n", text) < 0)
        abort(); /* no memory for a line */
}

static void add_digests(struct registry *registry, enum listed what, struct buf *all) ON_LOOP {
    registry_lock(registry);
    struct listing listing = listing_locked(registry, what);
    for (size_t i = 0; i < listing.count; i++)
        add_line(all, offer_digest(listing.offers[i]));
    registry_unlock(registry);
    free(listing.offers);
    add_line(all, "");
}

void registry_tools_digest(struct registry *registry, char text[static HASH_TEXT_BYTES]) {
    CLEANUP(buf_fini) struct buf all = {0};

    add_digests(registry, TOOLS, &all);
    registry_lock(registry);
    for (char *const *rule = registry->hide; rule && *rule; rule++)
        add_line(&all, *rule);
    registry_unlock(registry);
    hash_text(buf_span(&all), text);
}

void registry_resources_digest(struct registry *registry, char text[static HASH_TEXT_BYTES]) {
    CLEANUP(buf_fini) struct buf all = {0};

    add_digests(registry, RESOURCES, &all);
    add_digests(registry, TEMPLATES, &all);
    hash_text(buf_span(&all), text);
}

char *registry_late_owner(struct registry *registry, const char *name) {
    registry_lock(registry);
    const char *owner = late_owner(&registry->late, name);
    char *copy = owner ? xstrdup(owner) : NULL;
    registry_unlock(registry);
    return copy;
}

json_t *registry_names_new(struct registry *registry, const struct generation *generation) {
    json_t *names = json_array();

    registry_lock(registry);
    list_for_each (link, &generation->offers) {
        const struct offer *offer = list_entry(link, struct offer, link);
        if (!offer->noted && kind_of(offer) == TOOLS)
            (void)json_array_append_new(names, json_string(offer->tool->name));
    }
    registry_unlock(registry);
    return names;
}

json_t *registry_busy_names_new(struct registry *registry, const struct generation *generation) {
    json_t *names = json_array();

    registry_lock(registry);
    list_for_each (link, &generation->offers) {
        const struct offer *offer = list_entry(link, struct offer, link);
        for (int runs = offer->refs - 1; runs > 0; runs--)
            (void)json_array_append_new(names, json_string(offer->tool->name));
    }
    registry_unlock(registry);
    return names;
}
