/*
 * The schema of the database and restarts: who finds steps that are pending asks for a restart here, and the image
 * behind it applies all of them as one, before it starts a plugin.
 *
 * A restart that this server asks for by itself and that fails is not asked for again for the same steps.
 *
 * Where another process has migrated further than this program knows, nothing of it is touched; a newer plugin or a
 * newer program that is there is taken.
 */
#pragma once

#include <jansson.h>

#include "base/thread.h"

struct server;

void migrations_init(struct server *server) ON_LOOP;
void migrations_fini(struct server *server) ON_LOOP;

/* A plugin waits for its schema to be migrated. Several of them, loaded together, are one restart. */
void migrations_on_outdated(void *arg);

/* A restart is through, or has failed: what waited for its schema is done with, or refused, or asks again. */
void migrations_on_restarted(struct server *server) ON_LOOP;

/* Looks for what is pending, for a restart that is under way and was asked for because of that; what was refused is
 * tried again. Then `then`, if the restart still is. */
typedef void migrations_fn(struct server *server);
void migrations_look(struct server *server, migrations_fn *then) ON_LOOP;

/*
 * Behind the exec: the plugins' images are mapped (if `awake`), and everything that is pending is applied; then `then`,
 * with nothing started. Whatever fails leads back to the image before.
 */
void migrations_run(struct server *server, migrations_fn *then) ON_LOOP;

/* [{component, steps, version}]: what this image has applied. New reference. */
json_t *migrations_done_new(const struct server *server) ON_LOOP;
