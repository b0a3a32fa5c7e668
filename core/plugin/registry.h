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
#include "plugin/offer.h"

struct config;
struct generation;
struct loop;
struct loop_task;
struct registry;

struct registry *registry_new(void);
struct registry *registry_free(struct registry *registry); /* everything must have been taken out */

/* The offer of that name, with a reference, its generation pinned. NULL: there is none. Any thread. */
struct offer *registry_find(struct registry *registry, const char *name);
void registry_release(struct registry *registry, struct offer *offer);       /* both. Any thread */
void registry_pin(struct registry *registry, struct generation *generation); /* Any thread */
void registry_unpin(struct registry *registry, struct generation *generation);
int registry_pins(struct registry *registry, const struct generation *generation);
/* The flags of the tool of that name. False: there is none. Any thread. */
bool registry_tool_flags(struct registry *registry, const char *name, unsigned *ret_flags);

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
 * Between these two, what that thread adds and removes is only noted, and new names are kept free. At the end all of it
 * happens at once, or (make is false) nothing. On the thread that makes the change.
 */
void registry_begin_change(struct registry *registry, struct generation *generation);
void registry_end_change(struct registry *registry, struct generation *generation, bool make);
bool registry_is_changing(struct registry *registry, const struct generation *generation); /* on this thread */

/* Whose tool is that? Owned: the plugin's name; NULL: nobody's, or the named plugin's own. Any thread. */
char *registry_other_owner(struct registry *registry, const char *name, const char *plugin);

/*
 * Posts the task when a name leaves for which somebody was refused, or told of another owner. From then on until
 * registry_take_freed() there is something to try again. NULL: no more. ON_LOOP.
 */
void registry_on_free(struct registry *registry, struct loop *loop, struct loop_task *task) ON_LOOP;
bool registry_has_freed(struct registry *registry);
void registry_take_freed(struct registry *registry);

/* Takes out all that it offers. */
void registry_clear(struct registry *registry, struct generation *generation);

/* Which names are not offered (NULL-terminated patterns; copied). */
void registry_hide(struct registry *registry, char *const *patterns);

/* What [access] says of calls, by whom; copied. */
void registry_set_access(struct registry *registry, const struct config *config);
/* May the tool be called by a client of that user? `ret_rule`, owned, is the rule that says no; NULL: none. A name of a
 * resource is of no tool. Any thread. */
enum registry_access { REGISTRY_FREE, REGISTRY_NO_CALLS, REGISTRY_DENIED, REGISTRY_HIDDEN };
enum registry_access registry_access(struct registry *registry, const char *name, long uid, char **ret_rule);
bool registry_hides_from(struct registry *registry, const char *name, long uid);

/* Full entries of tools/list, sorted by name. New reference. */
json_t *registry_list_new(struct registry *registry) ON_LOOP;
/* Those of resources/list, or of resources/templates/list, sorted by URI. New reference. */
json_t *registry_resources_new(struct registry *registry, bool templates) ON_LOOP;
/* Which resource is read under that URI, and with which arguments (new reference)? Owned: the name of its offer; NULL:
 * there is none. A resource goes before the templates. */
char *registry_find_resource(struct registry *registry, const char *uri, json_t **ret_args);
/* Makes the entry of one more tool, for which nobody has asked yet. False: there is none. */
bool registry_list_ahead(struct registry *registry) ON_LOOP;
/* Hashes of the lists, with what some users do not see of the tools: another one when, and only when, a list is
 * another. */
void registry_tools_digest(struct registry *registry, char text[static HASH_TEXT_BYTES]) ON_LOOP;
void registry_resources_digest(struct registry *registry, char text[static HASH_TEXT_BYTES]) ON_LOOP;
/* Of which plugin was this tool, when it was still there? Owned; NULL: not lately. */
char *registry_late_owner(struct registry *registry, const char *name);
json_t *registry_names_new(struct registry *registry, const struct generation *generation); /* of one generation */
json_t *registry_busy_names_new(struct registry *registry,
                                const struct generation *generation); /* of its running calls */
