/*
 * Whose tasks.
 *
 * A call is about the session that its argument `session_id` names, else the one that its connection initialised or
 * resumed last, else the newest open one of the client's directory, else one that is made on the spot.
 */
#pragma once

#include "work.h"

enum { SESSION_CONNECTION = 64 };

/* The session of the connection that called last: found once for the calls of one transaction. */
struct session_memo {
    char connection[SESSION_CONNECTION]; /* "": none is known */
    struct session session;
};

void session_forget(struct tasks *tasks); /* a new transaction, or something about sessions has changed */

/* Finds it: work->session. `session_id` "*" is every session. 0, WORK_MUST_WRITE: there is none yet, or -1. */
int session_find(struct work *work);
int session_find_one(struct work *work); /* "*" is refused */
/* The same, but none is made: work->session.id is 0 where there is none. 0 or -1. */
int session_look(struct work *work);

/* By its name: work->session. 0, or -1: there is none. */
int session_get(struct work *work, const char *session_id);
/* A new one in `directory`: work->session. 0 or -1. */
int session_make(struct work *work, const char *directory);
/* From now on this connection's. 0 or -1. */
int session_choose(struct work *work);
/* Something of it has changed. 0 or -1. */
int session_touch(struct work *work);

/* The directory that a client means by `path`, absolute and without a slash at its end. Into `into`. */
void session_directory(struct work *work, const char *path, struct text *into);

/* {"total": 5, "completed": 2, "open": 3, "percent": 40, "by_status": {…}} of session `id`; 0: of all. New reference;
 * NULL: `err`. */
json_t *session_counts(struct work *work, int64_t id);
