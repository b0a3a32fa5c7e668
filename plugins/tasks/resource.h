/*
 * What can be read of tasks and sessions under a URI, and what of it clients watch:
 *
 *     theseus://tasks/{id}       all of a task, with its children and what was handed in for it, in summary
 *     theseus://sessions/{id}    a session, how far it is, and what is open in it
 *
 * The URI names the session or the task, so it does not matter whose session is in use.
 */
#pragma once

#include "work.h"

extern const struct theseus_resource resources[];

enum { RESOURCE_NONE = 1 };

/* What is read under `uri` now, of which the transaction of `work` decides. New reference in `ret_value`. 0;
 * RESOURCE_NONE: there is no such thing; -1: `err`. */
int resource_read(struct work *work, const char *uri, json_t **ret_value);
