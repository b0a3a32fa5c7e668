/* One tool as offered by one generation. Who guards what is said at each member; the registry is what has them all. */
#pragma once

#include <jansson.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/thread.h"
#include "plugin/tool.h"
#include "plugin/turn.h"

struct generation;

struct offer {
    struct tool *tool;             /* owned */
    struct generation *generation; /* borrowed; pinned by whoever looked the offer up */
    json_t *entry;                 /* owned: see offer_entry(). Loop only, like the next one */
    bool wanted;                   /* somebody has asked for it */
    char digest[HASH_TEXT_BYTES];  /* of it; empty: not made yet */

    /* under the registry's lock */
    int refs;         /* the registry, and each run */
    bool listed;      /* can be found */
    bool noted;       /* comes at the end of the change that is being made; until then it only keeps its name free */
    bool leaving;     /* goes at the end of that change */
    struct list link; /* in the generation's list, while it is offered */
    struct turn turn; /* THESEUS_SERIAL; run::wait_link: of clients */
};

struct offer *offer_new(struct generation *generation, struct tool *tool); /* takes the tool; one reference */
struct offer *offer_free(struct offer *offer);

/* Its full entry of tools/list, borrowed. NULL: its schemas cannot be read, or there is no memory; that is logged. */
json_t *offer_entry(struct offer *offer) ON_LOOP;
const char *
offer_digest(struct offer *offer) ON_LOOP; /* of the entry in canonical form, made once; empty: there is none */
