/*
 * What the image does that arrives behind a crash, beside what every arrival does (arrival.c): it answers the call that
 * has crashed, settles what becomes of the others, and records the whole as a restart for the reason `error_recovery`.
 *
 * A call is over for the one crash that it has caused. The others that were at work are treated as at an interruption
 * without waiting: from their checkpoint, again if that does no harm, else with an explicit error. One that was at work
 * at two crashes is not begun a third time.
 */
#pragma once

#include "base/crash_note.h"
#include "call/call.h"

struct server;

/* A call whose handler had returned, to answer later. */
struct recovery_later {
    struct call_key key;
    bool structured;
};

struct recovery {
    bool came;  /* this image follows one that has crashed */
    bool noted; /* and there is a note of that; or of a call that has crashed the one behind this (is_back) */
    struct crash_note note;
    int64_t at_ms;                 /* wall clock: when it has crashed */
    struct recovery_later *laters; /* owned: of the plugin that is to blame, when it is for no call */
    size_t later_count;
    bool begun;        /* this image goes on for the one that has crashed */
    bool told;         /* which calls are answered with the crash is settled, and with what */
    const char *next;  /* what becomes of the plugin; NULL: there is none to blame */
    char *boot_before; /* owned: id of the image that has crashed */
    char *what;        /* owned: who crashed, with which signal */
    int execs;         /* images one after the other that have crashed and served nothing */
};

/* Before the parts are made: what the image before has left. */
void recovery_prepare(struct server *server) ON_LOOP;
/* All parts are there, the plugins not yet. */
void recovery_begin(struct server *server) ON_LOOP;
/* The same where a restart has led back: a call may have crashed the image that was to serve. That is the restart's
 * failure, and no other one has taken place. */
void recovery_begin_back(struct server *server) ON_LOOP;
/* And when that restart is in the history, the crash follows. */
void recovery_report_back(struct server *server) ON_LOOP;
/* The plugins are loaded: what has become of the one to blame is known for certain. */
void recovery_settle(struct server *server) ON_LOOP;
void recovery_fini(struct server *server);

/* Is it a call that is answered with the crash? Then it is, now or when its child processes have ended. */
bool recovery_claims(struct server *server, struct call *call) ON_LOOP;
/* For struct plugin_host: why a call whose handler was at work is not begun again. False: not because of a crash. */
bool recovery_explains(void *arg, const struct call *call, const char *tool, struct theseus_error *err);
/* Is the restart under way, or the last one, that which follows the crash? */
bool recovery_is_restart(const struct server *server);
/* Too many one after the other: the server is to leave. */
bool recovery_gives_up(const struct server *server) ON_LOOP;
void recovery_leave(struct server *server) ON_LOOP;
