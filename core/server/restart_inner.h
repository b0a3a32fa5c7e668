/* The restart's own struct, for the files of this folder that are parts of it: restart_ask.c, restart.c with suspend.c,
 * and restart_launch.c up to the exec, arrival.c behind it, restart_report.c for both. */
#pragma once

#include "base/binary.h"
#include "loop/lane.h"
#include "loop/timer.h"
#include "server/inner.h"
#include "server/preflight.h"
#include "server/restart.h"

/* What the suspension of running calls has come to. */
struct tally {
    int resumable, repeatable, others; /* handlers at work */
    int held, suspended;
    int urgent; /* of those at work, the ones that are not held either */
};

/* suspend.c */
struct tally suspend_count(struct server *server) ON_LOOP;
void suspend_ask(struct server *server) ON_LOOP;       /* resumable calls are asked for their checkpoint */
void suspend_take_back(struct server *server) ON_LOOP; /* they are not asked any more */
bool suspend_is_done(const struct restart *restart, const struct tally *tally, int64_t waited_ms, int64_t limit_ms,
                     int64_t suspension_ms);
int suspend_interrupt(struct server *server) ON_LOOP; /* ends those that may not run again; returns how many */

/* restart_report.c */
json_t *report_complete_new(struct server *server) ON_LOOP;
json_t *report_failed_new(const struct server *server) ON_LOOP;
json_t *report_left_new(const struct server *server) ON_LOOP; /* the server leaves meanwhile */
json_t *report_pending_new(const struct server *server) ON_LOOP;
void report_to_history(struct server *server) ON_LOOP;
void report_answer(struct server *server,
                   json_t *report) ON_LOOP; /* to who asked; steals. Harmless where nobody waits */
/* The same at its end, in one piece: who asked is answered, by this image or the next one, if and only if it has ended.
 */
void report_end(struct server *server, enum phase phase, json_t *report) ON_LOOP;
/* The image before has ended a restart, and has not come to answer who asked. */
void report_answer_ended(struct server *server) ON_LOOP;

/* restart_ask.c */
/* Could a restart begin now? */
MUST_CHECK int restart_check(const struct server *server, const struct restart_request *request,
                             struct theseus_error *err) ON_LOOP;
/* Begins the restart that a client asks for: the answer, a new reference; NULL: it has begun, and answers itself. */
json_t *restart_answer_asker(struct server *server, const struct restart_request *request) ON_LOOP;

/* restart_notice.c */
void restart_tell_pending(struct server *server) ON_LOOP;
void restart_tell_end(struct server *server, enum phase phase) ON_LOOP;

/* restart_ask.c; for both images */
/* Who asks gives up some time: is told before that that the restart goes on, if it still does. */
void restart_answer_early(struct server *server) ON_LOOP;

/* restart.c: the steps up to the exec */
int64_t restart_elapsed_ms(const struct restart *restart);
int64_t restart_left_ms(const struct restart *restart); /* of its time-out */
void restart_prepare(struct server *server) ON_LOOP;    /* the first step: the candidate */
/* May the next step be taken? Else the restart has failed. */
bool restart_goes_on(struct server *server) ON_LOOP;
void restart_fail(struct server *server, const struct theseus_error *err) ON_LOOP; /* everything goes on as before */

/* restart_launch.c: the last step */
void restart_launch(struct server *server) ON_LOOP;

/* restart.c, for both images */
void restart_init(struct server *server) ON_LOOP;
void restart_fini(struct server *server) ON_LOOP;
bool restart_is_for_schema(const struct server *server);     /* asked for to migrate */
bool restart_takes_own(const struct server *server) ON_LOOP; /* the image that runs, and no other */
void restart_set_phase(struct server *server, enum phase phase) ON_LOOP;
/* Of the one under way, or the last: {"phase", "message", …}; steals. */
void restart_add_error(struct server *server, json_t *error) ON_LOOP;
void restart_end(struct server *server, enum phase phase) ON_LOOP; /* complete or failed: nobody waits any more */

/* arrival.c */
/* Before the parts are made: what is not to be carried on is dropped. */
void arrival_prepare(struct server *server) ON_LOOP;
/* The loop is there: the child processes that an image before has left. */
void arrival_meet_children(struct server *server) ON_LOOP;
/* The plugins are there, the other parts not yet: their images are mapped meanwhile. */
void arrival_load_early(struct server *server) ON_LOOP;
/* All parts are there: goes on to `complete`, and begins to serve. */
void arrival_begin(struct server *server) ON_LOOP;
bool arrival_claims(void *arg, struct call *call); /* for struct method_env: is it the call that the restart answers? */
