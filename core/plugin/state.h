/*
 * theseus_state_…: values that the core keeps for plugins under the plugin's name and a key. Each change is a record in
 * the ledger, so they outlive every generation and every image of the process. Any thread.
 */
#pragma once

#include <theseus/plugin.h>

#include "ledger/ledger.h"

struct state;

struct state *state_new(struct ledger *ledger); /* with what the ledger holds */
struct state *state_free(struct state *state);

/* Steals `value`; JSON null removes the key. ERR_LIMIT: key or value is too long, or the plugin has too many keys. */
MUST_CHECK int state_put(struct state *state, const char *plugin, const char *key, json_t *value,
                         struct theseus_error *err);
/* What an earlier process had, unless there is a value under its key by now. */
MUST_CHECK int state_bring_back(struct state *state, const struct state_record *record, bool *ret_taken,
                                struct theseus_error *err);
json_t *state_get(struct state *state, const char *plugin, const char *key); /* new reference, a copy; NULL: none */
/* Changes of one key come one at a time, `update` included; other keys and every reader go on meanwhile. */
MUST_CHECK int state_update(struct state *state, const char *plugin, const char *key, theseus_state_fn *update,
                            void *arg, struct theseus_error *err);

DEFINE_CLEANUP(struct state *, state_free)
