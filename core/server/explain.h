/*
 * What a restart now would do: {candidate{path, version, changed}, configuration_differences[],
 * plugins_that_would_change[], migrations_pending[], calls[], expected_blackout_ms}. The candidate says its version
 * itself; that takes a child process.
 */
#pragma once

#include "server/control.h"

/* On the asking thread: what the database and the files tell. */
json_t *explain_gather_new(struct server *server);

/* Answers with `answer` (stolen), to which the member "explain" is added; `calls` is borrowed. */
void explain_begin(struct asked *asked, json_t *answer, json_t *calls) ON_LOOP;
