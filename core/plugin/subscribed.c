#include "plugin/subscribed.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/generation.h"
#include "plugin/image.h"
#include "plugin/registry.h"

struct subscribed {
    struct registry *registry; /* borrowed */
    json_t *told;              /* owned: URI → the generation that was told of it, "": none has wanted to know */
};

struct subscribed *subscribed_new(struct registry *registry) {
    struct subscribed *subscribed = xcalloc(1, sizeof(*subscribed));

    subscribed->registry = registry;
    subscribed->told = json_object();
    return subscribed;
}

struct subscribed *subscribed_free(struct subscribed *subscribed) {
    if (!subscribed)
        return NULL;
    json_decref(subscribed->told);
    free(subscribed);
    return NULL;
}

/* Who serves it, pinned; NULL: nobody does. */
static struct offer *find(const struct subscribed *subscribed, const char *uri) {
    json_auto_t *args = NULL;
    CLEANUP(free) char *name = registry_find_resource(subscribed->registry, uri, &args);

    return name ? registry_find(subscribed->registry, name) : NULL;
}

/* `told`: who was told before. Returns who knows now; new reference. */
static json_t *tell(const struct subscribed *subscribed, const char *uri, const char *told, bool on) ON_LOOP {
    struct offer *offer = find(subscribed, uri);
    struct generation *generation = offer ? offer->generation : NULL;
    bool wants = generation && generation->slots.subscribed && !image_guest(generation->image);
    bool knows = wants && strcmp(generation->component, told) == 0;

    if (wants && knows != on)
        generation_subscribed(generation, uri, on);
    json_t *knowing = json_string(wants && on ? generation->component : "");
    if (offer)
        registry_release(subscribed->registry, offer);
    return knowing;
}

static void add(struct subscribed *subscribed, const char *uri) ON_LOOP {
    const char *told = json_string_value(json_object_get(subscribed->told, uri));

    (void)json_object_set_new(subscribed->told, uri, tell(subscribed, uri, told ? told : "", true));
}

void subscribed_add(struct subscribed *subscribed, const json_t *uris) {
    const json_t *uri;
    size_t i;

    json_array_foreach (uris, i, uri)
        if (!json_object_get(subscribed->told, json_string_value(uri)))
            add(subscribed, json_string_value(uri));
}

void subscribed_settle(struct subscribed *subscribed, json_t *uris) {
    json_auto_t *owned = uris ? uris : json_copy(subscribed->told);
    const char *uri;
    json_t *told;
    void *next;

    json_object_foreach_safe (subscribed->told, next, uri, told)
        if (!json_object_get(owned, uri)) {
            json_decref(tell(subscribed, uri, json_string_value(told), false));
            (void)json_object_del(subscribed->told, uri);
        }
    json_object_foreach (owned, uri, told)
        add(subscribed, uri);
}
