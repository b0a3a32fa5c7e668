#include "plugin/late.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void late_fini(struct late *late) {
    for (size_t i = 0; i < LATE_MAX; i++) {
        free(late->names[i].name);
        free(late->names[i].owner);
    }
    *late = (struct late){0};
}

void late_remember(struct late *late, const char *name, const char *owner) {
    struct late_name *place = &late->names[late->next++ % LATE_MAX];

    free(place->name);
    free(place->owner);
    *place = (struct late_name){xstrdup(name), xstrdup(owner)};
}

const char *late_owner(const struct late *late, const char *name) {
    for (size_t i = 1; i <= LATE_MAX; i++) { /* the newest first */
        const struct late_name *place = &late->names[(late->next - i) % LATE_MAX];
        if (place->name && strcmp(place->name, name) == 0)
            return place->owner;
    }
    return NULL;
}
