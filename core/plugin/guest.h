/*
 * A plugin that is kept apart: its code runs in a process of its own (inside.h) and never in the server's. To the rest
 * of the plugin floor it looks like a mapped one: a struct theseus_plugin whose slots and handlers are ours, and ask
 * that process.
 *
 * One that crashes takes the calls with it that run in it, which are answered, and is started again, unless the host
 * says otherwise: there crashes are counted, for all plugins alike. A slot or a call that does not come back is ended
 * with the process; so is one whose memory is used up, once its calls are over.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"
#include "base/mem.h"

struct guest;
struct theseus_plugin;

struct guest_spec {
    int exe_fd;       /* our own binary; stays the caller's, and open for as long as the guest lives */
    const char *file; /* the private copy of the plugin; these texts are copied */
    const char *hash; /* of that */
    const char *dir;  /* made if it is missing: where the plugin may write. NULL: nowhere */
    size_t memory;    /* bytes of address space; 0: no limit */
    int limit_ms;     /* for a slot to come back */
};

/* Starts the process and has it load the plugin. Any thread; waits. */
MUST_CHECK int guest_open(struct guest **ret_guest, const struct guest_spec *spec, struct theseus_error *err);
/* Ends the process, and nothing is to be asked of it any more. No call may be running. Any thread; waits. */
void guest_close(struct guest *guest);
struct guest *guest_free(struct guest *guest); /* closes it, too. On the loop's thread once calls were made */

const struct theseus_plugin *guest_plugin(const struct guest *guest); /* borrowed */

/* What there is to be seen of it: pid, restarts, memory, … New reference. */
json_t *guest_report_new(struct guest *guest);
/* Why it does not serve at the moment. Owned; NULL: it serves. */
char *guest_trouble(struct guest *guest);

DEFINE_CLEANUP(struct guest *, guest_free)
