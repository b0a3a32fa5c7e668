/*
 * All plugins: the files they come from, what is loaded of them, and what has become of the rest.
 *
 * The directories of the configuration are watched. A file that is new or has changed becomes a candidate (loader.h)
 * and, if nothing speaks against it, the serving generation. Everything here is on the loop.
 */
#pragma once

#include "plugin/host.h"
#include "store/migrate.h"

struct plugins;
struct imagedir;

struct plugins *plugins_new(struct plugin_host *host, struct imagedir *dir, int exe_fd) ON_LOOP;
/* Stops and unloads everything; no run may be there any more. Waits for the lane. */
struct plugins *plugins_free(struct plugins *plugins) ON_LOOP;
/* Before the workers go: calls that were over before a worker took them up are dropped. */
void plugins_let_go(struct plugins *plugins) ON_LOOP;

/* Begins the first scan, unless that was done. */
void plugins_load(struct plugins *plugins) ON_LOOP;
/* What loads the plugins has no effect from here on, before plugins_let_begin(): state comes back that they are to
 * find. */
void plugins_hold_back(struct plugins *plugins) ON_LOOP;
void plugins_let_begin(struct plugins *plugins) ON_LOOP;

/* Runs the task when the first scan is through (or has taken too long for anybody to wait on); at once if it is. */
void plugins_when_loaded(struct plugins *plugins, struct loop_task *task) ON_LOOP;
bool plugins_are_loaded(const struct plugins *plugins) ON_LOOP;

/* Looks at all directories again: what changed, or was refused. */
void plugins_rescan(struct plugins *plugins) ON_LOOP;

/* Looks whether any file has changed, if loading has begun. */
void plugins_look(struct plugins *plugins) ON_LOOP;

/* NULL: there is a plugin, or a file, of that name. Else a text that says so and lists the plugins that there are. */
char *plugins_unknown(struct plugins *plugins, const char *name) ON_LOOP;
/* Loads that plugin's file again, changed or not; looks at no other. */
void plugins_reload(struct plugins *plugins, const char *name) ON_LOOP;

/* The list of tools has changed: what the ledger says of the plugins' tools changes, too. */
void plugins_tools_changed(struct plugins *plugins) ON_LOOP;
/* The options of [crash] may have changed. */
void plugins_crash_rules(struct plugins *plugins) ON_LOOP;
/* The bans of that plugin, as the ledger has them now, are written to the disk. */
void plugins_keep_bans(struct plugins *plugins, const char *plugin) ON_LOOP;

/* Runs the task when nothing is being loaded any more. */
void plugins_when_idle(struct plugins *plugins, struct loop_task *task) ON_LOOP;

/*
 * Would the plugins take these settings? Answers in `done` (err NULL: all agree), without effect. One at a time: a
 * second one waits for the first. `config` must live until plugins_configure() or the refusal.
 */
typedef void plugins_checked_fn(void *arg, const struct theseus_error *err);
void plugins_check(struct plugins *plugins, const struct config *config, plugins_checked_fn *done, void *arg) ON_LOOP;
/* Gives what was agreed on to the plugins concerned; the host's config is the new one by now. */
void plugins_configure(struct plugins *plugins) ON_LOOP;

/* ---- a restart ---- */

/*
 * In place of plugins_load(), in a process image that follows another: loads the very images that the ledger names, in
 * the order of their generations, without another test-load; each finds what was saved for it. Runs the task when every
 * one of them serves or was refused. Then the directories are looked at as by plugins_load().
 */
void plugins_restore(struct plugins *plugins, struct loop_task *done) ON_LOOP;
/*
 * Optional, before plugins_restore(): the images are mapped and checked meanwhile; no slot is called. Without a limit
 * of its own: somebody must see to it that an image whose constructors hang comes to an end.
 */
void plugins_restore_early(struct plugins *plugins) ON_LOOP;

/*
 * Newer versions of plugins whose schema has older tables in the database wait until a restart migrates it: what serves
 * goes on with the schema that it knows. plugins_propose() names them to the next process image (and to the candidate's
 * examination), which is to take them in place of what serves. How many.
 */
size_t plugins_propose(struct plugins *plugins) ON_LOOP;
size_t plugins_proposals(const struct plugins *plugins) ON_LOOP;  /* how many wait */
bool plugins_are_proposed(const struct plugins *plugins) ON_LOOP; /* are any named in the ledger? */
/* Nothing comes of it, also in the image to which the way led back. `why` NULL: they go on waiting; else what was named
 * is refused for that reason, until its file changes. */
void plugins_withdraw(struct plugins *plugins, const char *why) ON_LOOP;
/* The same of one of them, which the image that took it did not outlive: its schema is migrated, so what served before
 * it cannot serve again, and is forgotten. */
void plugins_give_up(struct plugins *plugins, const char *name, const char *why) ON_LOOP;
/* The next image: plugins_restore() and plugins_restore_early() take what was named; and all of that is through. */
void plugins_take_proposals(struct plugins *plugins) ON_LOOP;
void plugins_drop_proposals(struct plugins *plugins) ON_LOOP;

/*
 * Before plugins_restore(): nothing of what is restored is started before all of it is mapped and checked, `done` was
 * told what steps their schemas have (`err`: one of them cannot be loaded), and plugins_start() is called, with what
 * was applied of them, and the database before (NULL: none). `schemas` is the callee's to free; the steps are the
 * images'.
 */
typedef void plugins_mustered_fn(void *arg, struct store_steps *schemas, size_t count, const struct theseus_error *err);
void plugins_muster(struct plugins *plugins, plugins_mustered_fn *done, void *arg) ON_LOOP;
void plugins_start(struct plugins *plugins, const struct store_steps *schemas, size_t count,
                   const char *backup) ON_LOOP;

/* Behind plugins_restore(), while the image before may come back: -1 if a plugin that served there does not here. */
MUST_CHECK int plugins_serve_as_before(struct plugins *plugins, struct theseus_error *err) ON_LOOP;

/* `save` of every serving plugin that has one, recorded as saved_record. No handler may be at work in such a plugin.
 * Tells `done` (err NULL: all is recorded). What is being loaded comes to its end first. */
typedef void plugins_saved_fn(void *arg, const struct theseus_error *err);
void plugins_save(struct plugins *plugins, plugins_saved_fn *done, void *arg) ON_LOOP;
/* Is no handler at work in a plugin that has a `save`? */
bool plugins_can_save(const struct plugins *plugins) ON_LOOP;
/* The restart is through, or was given up. */
void plugins_drop_saved(struct plugins *plugins) ON_LOOP;

/*
 * From here on no handler is entered for a client's call: calls that were submitted are taken back, those that come
 * wait, urgent ones excepted. Nothing new is loaded. What runs goes on, its inner calls included. A handler that is
 * suspended is not entered again before plugins_resume().
 */
void plugins_pause(struct plugins *plugins) ON_LOOP;
void plugins_pause_urgent(struct plugins *plugins) ON_LOOP; /* just before the exec: urgent ones wait as well */
void plugins_resume(struct plugins *plugins) ON_LOOP; /* all of that goes on, suspended calls from their checkpoint */

/* Is a handler at work, or one that said it will answer later? Their code must stay where it is. */
bool plugins_have_runs(const struct plugins *plugins) ON_LOOP;

/* host->idle leads here. */
void plugins_on_idle(struct generation *generation) ON_LOOP;

/* {"plugins": […], "refused": […], "disabled": […], "stuck": […]}: everything that theseus_plugins shows. New
 * reference. */
json_t *plugins_report_new(struct plugins *plugins) ON_LOOP;
/* Plugin name → {"sum": seconds, "up_to": [[seconds, calls that took less], …], "count": calls}. New reference. */
json_t *plugins_durations_new(struct plugins *plugins) ON_LOOP;
/* Plugin name → generation number; and the files that wait, with the calls they wait for. New references. */
json_t *plugins_generations_new(struct plugins *plugins) ON_LOOP;
json_t *plugins_waiting_new(struct plugins *plugins) ON_LOOP;
json_t *plugins_refused_new(struct plugins *plugins) ON_LOOP;
json_t *plugins_refused_files_new(const struct plugins *plugins) ON_LOOP; /* without sections that are left out */
/* The same, and the files that are on their way. New reference. */
json_t *plugins_not_serving_new(struct plugins *plugins) ON_LOOP;
/* What the directories hold otherwise than it serves, [{plugin?, file, change}]: "new", "changed" or "removed", and
 * "waiting" for calls of the version before. Nothing is loaded. New reference. */
json_t *plugins_changes_new(struct plugins *plugins) ON_LOOP;
/* Plugin name → steps of its schema, of those that serve and have any. New reference. */
json_t *plugins_schemas_new(struct plugins *plugins) ON_LOOP;
