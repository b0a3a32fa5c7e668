/*
 * The examination of a candidate before a restart. It runs as a child in the same environment, folds a copy of the
 * ledger and writes it again, reads the configuration, loads the plugin images that serve now, and tries pending
 * migrations on a copy of the database. It must say so: an exit status alone proves nothing, /bin/true has a good one.
 */
#pragma once

#include <jansson.h>

#include "base/binary.h"
#include "config/config.h"
#include "ledger/ledger.h"
#include "loop/loop.h"

struct preflight;

/*
 * What the child does, `theseus --preflight ROOM [ARGUMENT]…`: the copy of the ledger is its standard input, and ROOM a
 * directory that its parent removes. Leaves the process itself, without an effect outside of ROOM.
 */
_Noreturn void preflight_main(const struct config_source *source, const char *room);

struct preflight_spec {
    struct ledger *ledger;       /* the live one: a copy of it is made at once */
    const struct binary *binary; /* the candidate */
    char *const *argv;           /* the server's own command line */
    int limit_ms;                /* for the whole of it */
};

/* What is known of the candidate, whether or not it is good. All of it is gone when the callback returns. */
struct preflight_result {
    const char *version;      /* NULL: it did not say */
    const json_t *plugins;    /* [{"name", "error"?}]: those that serve now; with an error it would be lost */
    const json_t *migrations; /* [{"component", "pending", "known"}]: what the restart would migrate */
    const json_t *problems;   /* [{"file", "line", "text"}] of the configuration */
};

/* Once. `err` NULL: the candidate is good. preflight_free() may be called inside. */
typedef void preflight_fn(void *arg, const struct preflight_result *result, const struct theseus_error *err);

/* All of `spec` is only borrowed for the call. */
MUST_CHECK int preflight_start(struct preflight **ret_preflight, struct loop *loop, const struct preflight_spec *spec,
                               preflight_fn *done, void *arg, struct theseus_error *err) ON_LOOP;
struct preflight *preflight_free(struct preflight *preflight) ON_LOOP; /* before `done`: kills it; no callback comes */

DEFINE_LOOP_CLEANUP(struct preflight *, preflight_free)
