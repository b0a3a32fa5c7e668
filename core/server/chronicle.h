/*
 * What happened to this server, written down: events of the history, lines of the audit, and alerts that appear or end.
 *
 * What is given is copied and written by a thread of the chronicle's own, in the order in which it came: the loop never
 * waits for the database. Nothing is opened, made or started before there is something to write. What is written
 * survives the end of the process at once; that thread does not wait for the disk, for an exec would have to wait for
 * the thread.
 */
#pragma once

#include "base/mem.h"
#include "store/audit.h"
#include "store/history.h"

struct chronicle;
struct ledger;
struct store;

/*
 * `goes_on`: another image of this process came before, and has told of the alerts that there are. Events are kept in
 * the ledger until they are written (NULL: they are not), for this image may crash meanwhile. `finish` (NULL: nothing)
 * is called for an event's errors just before that, on the chronicle's thread: for what takes its time to be found out.
 */
typedef void chronicle_finish_fn(json_t *errors);
struct chronicle *chronicle_new(struct store *store, struct ledger *ledger, bool goes_on, chronicle_finish_fn *finish);
struct chronicle *chronicle_free(struct chronicle *chronicle); /* writes the rest first. Waits for the database */

/* What the image before did not come to write. */
void chronicle_go_on(struct chronicle *chronicle);

/* Any thread, at once. The second: unless there is one of that kind, time and image, which an image before may have
 * written. */
void chronicle_add(struct chronicle *chronicle, const struct history_event *event);
void chronicle_add_once(struct chronicle *chronicle, const struct history_event *event);
void chronicle_audit(struct chronicle *chronicle, const struct audit_line *line);

/* Somebody asked for `action` ("restart", "reload") on `target` (NULL: the server); `refusal` NULL: it is begun. */
void chronicle_asked(struct chronicle *chronicle, const struct asker *by, const char *session, const char *action,
                     const char *target, const char *refusal);

/* Removes what is older than `before_ms` (wall clock) and the oldest lines of an audit of more than `audit_lines`, and
 * looks whether alerts have ended. */
void chronicle_sweep(struct chronicle *chronicle, int64_t before_ms, int audit_lines);

/* Waits until everything is written that was given so far. False: it was not within the time. */
bool chronicle_flush(struct chronicle *chronicle, int timeout_ms);

/* Why entries are lost; owned. NULL: the last one was not. Any thread. */
char *chronicle_trouble_new(struct chronicle *chronicle);

DEFINE_CLEANUP(struct chronicle *, chronicle_free)
