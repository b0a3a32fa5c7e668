/*
 * The registry: which tool is offered by which generation of which plugin.
 *
 * Looked up by the loop for clients and by workers for inner calls. A lookup pins the generation: its code stays mapped
 * until registry_unpin(). A change of generation exchanges all its tools at once, under the lock.
 */
#pragma once

#include <jansson.h>

#include "base/list.h"
#include "base/thread.h"
#include "plugin/tool.h"

struct generation;
struct registry;

/* One tool as offered by one generation. */
struct offer {
    struct tool *tool;             /* owned */
    struct generation *generation; /* borrowed; pinned by whoever looked the offer up */
    json_t *entry;                 /* owned: its full entry of tools/list. Loop only */
    int refs;                      /* under the registry's lock: the registry, and each run */
    bool listed, leaving;          /* is in the registry; goes at the end of the change */
    struct list link;              /* in the generation's list, while it is offered */
    struct list serial_waiting;    /* run::wait_link: THESEUS_SERIAL runs of clients, in order; under the lock */
    bool serial_busy;              /* under the lock */
};

struct registry *registry_new(void);
struct registry *registry_free(struct registry *registry); /* everything must have been taken out */

/* The offer of that name, with a reference, its generation pinned. NULL: there is none. Any thread. */
struct offer *registry_find(struct registry *registry, const char *name);
void registry_release(struct registry *registry, struct offer *offer);       /* both. Any thread */
void registry_pin(struct registry *registry, struct generation *generation); /* Any thread */
void registry_unpin(struct registry *registry, struct generation *generation);
int registry_pins(struct registry *registry, const struct generation *generation);

/*
 * Whether generation->idle is posted when the last pin goes, and whether new calls wait because it is being replaced.
 * Returns the pins of this moment (0: nothing will be posted). Any thread.
 */
int registry_set_waiting(struct registry *registry, struct generation *generation, bool notify, bool holding);

/*
 * THESEUS_SERIAL. May the tool be entered? Then it is the caller's until registry_serial_leave(). Else `waiter` (NULL:
 * the caller waits by registry_wait()) is put at the end of those who are given the turn by the return of leave().
 */
bool registry_serial_enter(struct registry *registry, struct offer *offer, struct list *waiter);
struct list *registry_serial_leave(struct registry *registry,
                                   struct offer *offer); /* who has the turn now; NULL: nobody */
/*
 * Runs that were submitted and have not entered their handler (generation::queued). Taking back: each for which `take`
 * says true, under the lock, goes to the end of `taken`. Any thread.
 */
void registry_enqueue(struct registry *registry, struct generation *generation, struct list *link);
void registry_dequeue(struct registry *registry, struct list *link);
void registry_take_queued(struct registry *registry, struct generation *generation, bool (*take)(struct list *link),
                          struct list *taken);

/* Any thread but the loop: returns after something of the above, or of a replacement, has changed, or after 100 ms. */
void registry_wait(struct registry *registry);

/*
 * Puts the tools of `next` in the place of those of `previous` (either may be NULL), at once. ERR_BUSY: a name belongs
 * to another plugin; then nothing has changed. ON_LOOP, like everything that changes the registry from outside of a
 * plugin.
 */
MUST_CHECK int registry_swap(struct registry *registry, struct generation *previous, struct generation *next,
                             struct theseus_error *err);

/* A tool that comes or goes at run time. Takes the tool on success. Any thread. */
MUST_CHECK int registry_add(struct registry *registry, struct generation *generation, struct tool *tool,
                            struct theseus_error *err);
MUST_CHECK int registry_remove(struct registry *registry, struct generation *generation, const char *name,
                               struct theseus_error *err);

/*
 * Between these two, a removal is only noted: a tool that is removed and added again is replaced at once, and never
 * missing. On the thread that makes the change.
 */
void registry_begin_change(struct registry *registry, struct generation *generation);
void registry_end_change(struct registry *registry, struct generation *generation);

/* Takes out all that it offers. */
void registry_clear(struct registry *registry, struct generation *generation);

/* Which names are not offered (NULL-terminated patterns; copied). */
void registry_hide(struct registry *registry, char *const *patterns);

/* Full entries of tools/list, sorted by name. New reference. */
json_t *registry_list_new(struct registry *registry) ON_LOOP;
/* Hash of that list in canonical form: differs when, and only when, the list really changed. */
void registry_digest(struct registry *registry, char text[static 33]) ON_LOOP;
/* Of which plugin was this tool, when it was still there? Borrowed; NULL: not lately. ON_LOOP. */
const char *registry_late_owner(struct registry *registry, const char *name) ON_LOOP;
json_t *registry_names_new(struct registry *registry, const struct generation *generation); /* of one generation */
json_t *registry_busy_names_new(struct registry *registry,
                                const struct generation *generation); /* of its running calls */
