/*
 * Who takes over a session whose stream has ended: only the same user, with the session's secret. Attempts in vain are
 * counted, written into the audit, and limited for each user.
 */
#pragma once

#include "base/list.h"
#include "conn/conn.h"

struct server;

enum { RESUME_MAX_FAILURES = 5, RESUME_WINDOW_MS = 60000, RESUME_ALERT_MS = 3600000 };

/* Of one user. */
struct resume_failures {
    struct list link;
    uid_t uid;
    int64_t at_ms[RESUME_MAX_FAILURES]; /* loop's clock: the last ones; 0: none */
    int next;
    bool is_told; /* the audit says that no more are looked at */
};

struct resume {
    struct list attempts; /* owned: to be looked at, at the end of the turn */
    struct list failures; /* struct resume_failures::link, owned */
};

void resume_init(struct server *server);
void resume_fini(struct server *server) ON_LOOP;

/* For struct method_env: the call asks for it. Answered at the end of the turn. */
void resume_asked(void *arg, struct conn *conn, struct call *call);
/* A connection is over; was it awaited in vain? */
void resume_note_over(struct server *server, const struct conn *conn) ON_LOOP;

/* {successful, failed, unknown, expired, average_ms or null}, since the ledger began. New reference. */
json_t *resume_report_new(struct server *server) ON_LOOP;
/* What is wrong: owned; NULL: nothing. */
char *resume_alert_new(const struct server *server) ON_LOOP;
