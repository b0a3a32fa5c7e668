/*
 * Reloads, as the history has them: one event for each time that plugins were replaced, removed or refused, or a new
 * configuration was taken or refused, with who asked for it. What merely was looked at, and the first load, is none.
 */
#pragma once

#include "base/mem.h"
#include "base/thread.h"
#include "loop/loop.h"
#include "store/asker.h"

struct chronicle;

struct plugins;
struct reloads;

struct reloads *reloads_new(struct loop *loop, struct chronicle *chronicle) ON_LOOP;
struct reloads *reloads_free(struct reloads *reloads) ON_LOOP;

/* Somebody asks, for one plugin or (NULL) for everything: the audit notes it. `refusal` NULL: it is going to be done.
 */
void reloads_ask(struct reloads *reloads, const struct asker *by, const char *session, const char *plugin,
                 const char *refusal) ON_LOOP;

/* The configuration is looked at for a restart, which the audit has, and whose event tells what became of it. */
void reloads_restart(struct reloads *reloads, const struct asker *by) ON_LOOP;

/* What became of the configuration, in the words of reconfigured_fn. The plugins may still have to do with it. */
void reloads_configured(struct reloads *reloads, struct plugins *plugins, const char *outcome) ON_LOOP;

/* Nothing is being loaded any more. */
void reloads_settled(struct reloads *reloads, struct plugins *plugins) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct reloads *, reloads_free)
