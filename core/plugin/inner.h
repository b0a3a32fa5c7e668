/* The plugins' own struct, for the files of this folder that are parts of it: plugins.c, scan.c, loader.c, apply.c. */
#pragma once

#include "base/hash.h"
#include "base/map.h"
#include "loop/lane.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "plugin/apart.h"
#include "plugin/ban.h"
#include "plugin/generation.h"
#include "plugin/image.h"
#include "plugin/imagedir.h"
#include "plugin/plugin.h"
#include "plugin/plugins.h"
#include "plugin/registry.h"
#include "plugin/run.h"
#include "plugin/settings.h"
#include "plugin/source.h"
#include "plugin/testload.h"

/* A file on its way to become the serving generation of its plugin. See loader.c. */
struct candidate {
    struct list link; /* in one of the lists of struct loader */
    struct plugins *plugins;
    struct source *source; /* borrowed */
    struct image *image;   /* owned until it is the generation's */
    struct tool **tools;   /* owned, likewise */
    size_t tool_count;
    unsigned number; /* of the generation that it will be */
    int schema;      /* steps of its schema that the database had at the test-load; -1: not known */
    struct plugin *plugin;
    struct source *replaced;     /* what `previous` was served from */
    struct plugin *displaced;    /* borrowed: another plugin, which this file held before; NULL: none */
    struct generation *next;     /* owned until it serves */
    struct generation *previous; /* borrowed: what it replaces; NULL: nothing */
    struct lane_job job;
    struct hang *hang;                         /* borrowed: the job has not come back; NULL: it has */
    void (*then)(struct candidate *candidate); /* after the job, on the loop */
    int r;                                     /* of the job */
    struct theseus_error err;
    unsigned settings_round; /* plugins::settings_round when its settings were made */
    struct timer *timer;     /* owned: it waits for calls of `previous`; NULL: it does not */
    bool retried;            /* it has waited in vain before */
    bool forced;             /* replaces what serves even by the same content */
    bool restored;           /* for what served in the image before: it finds what was saved there */
    bool loaded;             /* its image is mapped and checked already */
    bool proposed;           /* the next process image is to take it: it is in the ledger */
    bool migrated;           /* its schema was, for it and before it was started */
    char *backup;            /* owned: the database before that; NULL: there was none */
    struct apart apart;      /* as the configuration says when it begins */
    bool begun;              /* its generation was started already: r and err say with which result */
    char *adopt;             /* owned: the private copy to be taken over; NULL: there is none */
    bool stored;             /* that is no private copy: one is to be made of it */
    unsigned stands_for;     /* a generation that is to go whatever becomes of this; 0: none */
    char *judged;            /* owned: the ban that came while it was on its way; NULL: none */
    bool has_good;           /* and what is to serve in its place */
    char *banned;            /* owned: why the file itself is not what is loaded; NULL: it is */
    char adopt_hash[HASH_TEXT_BYTES];
};

struct loader {
    struct list copying; /* candidate::link, owned, as in all these */
    struct list to_test;
    struct list testing;       /* in the child that runs now */
    struct testload *testload; /* owned */
    struct list ready;
    struct candidate *current; /* owned */
    struct list waiting;       /* for calls of the generation that they replace */
    struct list later;         /* came during a pause */
    struct list proposals;     /* wait for a restart that migrates their schema. See proposal.c */
    struct map *good;          /* hashes of images that a test-load has found good */
};

/* A change of settings that plugins were asked about. See apply.c. */
struct change {
    struct list link;
    struct generation *generation; /* pinned */
    json_t *settings;              /* owned */
    bool moves;                    /* into a process of its own, out of it, or into one with another limit */
    int r;                         /* of `configure` */
    struct theseus_error err;
};

/* What plugins are asked, or told. It belongs to the lane's thread for as long as that is in a plugin's code. */
struct question {
    struct lane_job job;
    struct hang *hang; /* borrowed: it has not come back */
    struct plugins *plugins;
    struct list changes; /* change::link, owned */
    int r;
    struct theseus_error err;
};

struct applying {
    unsigned promotions; /* plugins::promotions when the plugins were asked */
    bool busy;
    struct question *question;   /* owned; NULL: none, or a stuck thread has it */
    const struct config *config; /* that was asked about; NULL: the present one, with new INI files */
    plugins_checked_fn *done;
    void *arg;
    struct config_section *extra; /* the sections of all INI files, shallow copies, sorted; owned array */
    size_t extra_count;
    const struct config *next_config; /* asked while busy */
    plugins_checked_fn *next_done;
    void *next_arg;
    bool again; /* INI files changed while busy */
};

/* All of what is restored is mapped before any of it is started. See muster.c. */
struct muster {
    bool holds; /* nothing is started */
    bool told;
    plugins_mustered_fn *done;
    void *arg;
    struct loop_task *after; /* borrowed: what waits for plugins_start(), when there was nothing to restore */
    struct lane_job job;
    struct candidate **items; /* borrowed, owned array: of the job */
    size_t count;
    struct theseus_error err; /* of the first that was refused */
};

/* What the plugins save for a restart. See save.c. */
struct saver;

struct plugins {
    struct plugin_host *host;
    struct imagedir *dir;
    int exe_fd;
    struct list plugins;        /* plugin::link, owned */
    struct list sources;        /* source::link, owned, in the order of precedence */
    struct watch *watch;        /* owned; NULL: not watching */
    char **watched;             /* owned, NULL-terminated: the directories */
    json_t *disabled;           /* owned: files that are not looked at, for plugins.disable names them */
    struct loop_task name_free; /* a name for which something was refused is free */
    struct loader loader;
    struct applying applying;
    struct hangs *hangs;    /* owned: threads that do not come back from a plugin's code */
    struct timer *patience; /* owned: the first scan may take this long */
    bool held_back, wanted; /* loading waits for plugins_let_begin(), and somebody wants it */
    bool began, loaded, stopping;
    struct run_pause pause;
    struct saver *saver;      /* owned; NULL: nothing is being saved */
    bool restoring;           /* what served in the image before is being loaded */
    struct loop_task *done;   /* borrowed: to be run when that is through */
    struct lane_job adoption; /* see restore.c */
    bool adopting, adopted;   /* it was begun; it has ended, and nothing was made of it yet */
    bool adoptees;            /* what is in loader.copying is the adoption's alone */
    bool takes_proposals;     /* what the image before has proposed is restored */
    struct muster muster;
    struct timer *look;                 /* owned: then the directories are looked at; NULL: they are not to be */
    struct timer *proving;              /* owned: see probation.c; NULL: nothing was loaded yet */
    struct list when_loaded, when_idle; /* struct waiter::link, owned */
    struct list orphans;                /* generation::link, owned: never served, on their way out */
    int retiring;                       /* generations on their way out on the lane */
    unsigned generation;                /* the last number that was given */
    unsigned settings_round;            /* how often settings were given to plugins */
    unsigned promotions;                /* how often a generation began to serve */
};

/* scan.c */
void scan_drop_missing(struct plugins *plugins) ON_LOOP;
void scan_all(struct plugins *plugins, bool refused_too) ON_LOOP; /* what changed, or also what was refused */
struct source *scan_find(struct plugins *plugins, const char *name) ON_LOOP; /* that plugin's file; NULL: none */
void scan_again(struct plugins *plugins, struct source *source) ON_LOOP;     /* only this file, changed or not */
/* Which files there are, without looking at plugins; what INI files hold is known then. */
void scan_list(struct plugins *plugins) ON_LOOP;
struct source *scan_source(struct plugins *plugins, const char *path) ON_LOOP;  /* made if it is not known: missing */
bool scan_is_disabled(const struct plugins *plugins, const char *name) ON_LOOP; /* of a file */
void scan_watch(struct plugins *plugins) ON_LOOP; /* watches what the configuration names */

/* loader.c */
void loader_init(struct plugins *plugins);
void loader_stop(struct plugins *plugins) ON_LOOP; /* nothing more is begun; what is on the lane ends by itself */
void loader_drop_copying(struct plugins *plugins) ON_LOOP; /* what no job is at work on any more */
void loader_fini(struct plugins *plugins) ON_LOOP;
void loader_add(struct plugins *plugins, struct source *source) ON_LOOP;    /* unless that content serves already */
void loader_force(struct plugins *plugins, struct source *source) ON_LOOP;  /* in any case */
void loader_revert(struct plugins *plugins, struct source *source) ON_LOOP; /* what serves of it is banned */
struct candidate *loader_candidate_new(struct plugins *plugins, struct source *source) ON_LOOP; /* in no list */
void loader_copy(struct candidate *candidate) ON_LOOP; /* the first step: what the file holds now */
unsigned loader_next_generation(struct plugins *plugins) ON_LOOP;
/* On the lane: maps the image, or has a process of its own do so; and checks what is in it. */
MUST_CHECK int loader_load(struct candidate *candidate);
void loader_pause(struct plugins *plugins) ON_LOOP; /* nothing is begun; only the current one goes on */
void loader_resume(struct plugins *plugins) ON_LOOP;
bool loader_is_between(const struct plugins *plugins) ON_LOOP; /* none is being promoted */
bool loader_is_idle(const struct plugins *plugins) ON_LOOP;
void loader_forget_source(struct plugins *plugins, struct source *source) ON_LOOP; /* its waiting candidate */
void loader_refuse(struct candidate *candidate) ON_LOOP;                           /* ends it: err is the reason */
void loader_finish(struct candidate *candidate) ON_LOOP;                           /* ends it: it serves */
void loader_next(struct plugins *plugins) ON_LOOP; /* the next one that is ready, if none is being promoted */
/* Runs a step on the lane, then `then` on the loop; one that does not come back in time ends the candidate. */
void loader_on_lane(struct candidate *candidate, work_fn *run, void (*then)(struct candidate *)) ON_LOOP;

/* promote.c */
void promote(struct candidate *candidate) ON_LOOP;
/* Two steps of it beforehand, of one that replaces nothing: the generation, and its start. Ends one that does not do.
 */
void promote_prepare(struct candidate *candidate) ON_LOOP;
void promote_begin(struct candidate *candidate);             /* on the lane; if it is prepared */
void promote_on_idle(struct generation *generation) ON_LOOP; /* no call of it runs */
void promote_on_removed(struct plugins *plugins, const struct generation *generation) ON_LOOP;
void promote_put_aside(struct candidate *candidate) ON_LOOP;     /* if it waits for calls: others go first */
bool promote_forget(struct candidate *candidate) ON_LOOP;        /* if it waits for calls: its generation goes */
bool promote_is_activating(const struct plugin *plugin) ON_LOOP; /* its new generation serves, but is not through */
void promote_give_up(struct candidate *candidate) ON_LOOP; /* a thread is stuck in its code; what served serves again */

void promote_discard(struct candidate *candidate) ON_LOOP; /* ends it: err is the reason; what it made goes */
void promote_load_run(void *job);                          /* on the lane: maps it and checks it */

/* proposal.c */
void proposal_add(struct candidate *candidate) ON_LOOP;    /* its schema is a restart's to migrate */
void proposal_forget(struct candidate *candidate) ON_LOOP; /* it goes, and nothing is tried of it */
bool proposal_stands_for(const struct plugins *plugins, struct span plugin) ON_LOOP; /* in place of what served? */

/* muster.c */
bool muster_holds(struct plugins *plugins) ON_LOOP; /* nothing may be started yet; goes on with what it waits for */
/* There is nothing to restore: `done` is for when the rest may go on. False: it may at once. */
bool muster_keeps(struct plugins *plugins, struct loop_task *done) ON_LOOP;
void muster_note_refused(struct candidate *candidate) ON_LOOP;
void muster_fini(struct plugins *plugins) ON_LOOP;

/* banning.c */
void banning_read(struct plugins *plugins) ON_LOOP;   /* the bans that an earlier server has left */
void banning_refuse(struct plugins *plugins) ON_LOOP; /* the files for which nothing serves are refused */
/* That generation's image is banned, and it may serve: the good one takes its place, or nothing does. */
void banning_enforce(struct generation *generation, bool reverts) ON_LOOP;
/* The candidate that was to take the place is no more: whoever stands there still goes. */
void banning_give_up(struct plugins *plugins, const char *plugin, unsigned generation) ON_LOOP;
/* What is to serve in its place may be banned by now, too: then what serves in place of that. */
void banning_follow(struct plugins *plugins, struct ban *ban) ON_LOOP;
/* Something else than a banned image serves that plugin, from its file: what was banned may come again. */
void banning_lift(struct plugins *plugins, const struct plugin *plugin) ON_LOOP;
/* An image that is to serve in place of a banned one cannot, or does. The first returns why the file is not loaded;
 * owned, NULL: no ban names that image. */
char *banning_failed(struct plugins *plugins, const char *hash, const char *why) ON_LOOP;
void banning_serves(struct plugins *plugins, const char *hash) ON_LOOP;
/* Why that image is not to serve, and whether another is to in its place. Owned; NULL: it may. */
char *banning_reason_against(struct plugins *plugins, const char *hash, bool *ret_has_good) ON_LOOP;
/* What the record of an image that serves says of it: why it does so in place of its file. Owned; NULL: it does not. */
char *banning_reason_of(struct plugins *plugins, const char *plugin, const char *hash);

/* retire.c */
void retire(struct plugins *plugins, struct generation *generation) ON_LOOP; /* offers nothing any more; stop, unload */
void retire_when_idle(struct generation *generation) ON_LOOP;
void retire_stuck(struct plugins *plugins, struct generation *generation) ON_LOOP; /* a thread is in it: it stays */
void retire_returned(struct generation *generation) ON_LOOP; /* the thread has left it, and it can go after all */

/* restore.c */
void restore_settled(struct plugins *plugins) ON_LOOP; /* nothing is being loaded any more */
bool restore_is_pending(const struct plugins *plugins) ON_LOOP;
void restore_look(struct plugins *plugins) ON_LOOP; /* at the directories now, if that is still to be done */
void restore_fini(struct plugins *plugins) ON_LOOP;
json_t *restore_saved_new(const struct candidate *candidate); /* on the lane; NULL: nothing was saved for it */

/* save.c */
void saver_go_on(struct plugins *plugins) ON_LOOP; /* what it waits for may have come */
void saver_fini(struct plugins *plugins) ON_LOOP;

/* apply.c */
void apply_gather(struct plugins *plugins) ON_LOOP; /* what all INI files hold */
void apply_fini(struct plugins *plugins) ON_LOOP;
void apply_ini_files(struct plugins *plugins) ON_LOOP; /* the INI files in the directories have changed */
/* A message that begins with the name of an INI file in a plugin directory: that file is refused. False: it does not.
 */
bool apply_refuse_file(struct plugins *plugins, const struct theseus_error *err) ON_LOOP;
struct settings_extra apply_extra(const struct plugins *plugins);

/* plugins.c */
struct plugin *plugins_find(struct plugins *plugins, const char *name, bool make) ON_LOOP;
void plugins_remove(struct plugins *plugins, struct plugin *plugin) ON_LOOP; /* its tools are gone at once */
void plugins_settled(struct plugins *plugins) ON_LOOP; /* something has come to an end: who waits for that is told */
