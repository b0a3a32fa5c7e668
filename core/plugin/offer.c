#include "plugin/offer.h"

#include <stdlib.h>

#include <theseus/plugin.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/resource.h"
#include "rpc/jsontext.h"

enum { SAYS_WHAT_IT_DOES = THESEUS_READ_ONLY | THESEUS_DESTRUCTIVE | THESEUS_IDEMPOTENT | THESEUS_OPEN_WORLD };

/* As <theseus/plugin.h> says: a tool of which nothing is said counts as destructive. */
static json_t *annotations_new(unsigned flags) {
    bool destructive = (flags & THESEUS_DESTRUCTIVE) || !(flags & SAYS_WHAT_IT_DOES);
    bool idempotent = (flags & THESEUS_READ_ONLY) || ((flags & THESEUS_IDEMPOTENT) && !(flags & THESEUS_KEYED));

    return json_pack("{s:b, s:b, s:b, s:b}", "readOnlyHint", (flags & THESEUS_READ_ONLY) != 0, "destructiveHint",
                     destructive, "idempotentHint", idempotent, "openWorldHint", (flags & THESEUS_OPEN_WORLD) != 0);
}

static json_t *entry_new(const struct tool *tool) {
    return json_pack("{s:s, s:s*, s:s*, s:O, s:O*, s:o}", "name", tool->name, "title", tool->title, "description",
                     tool->description, "inputSchema", tool->input_schema, "outputSchema", tool->output_schema,
                     "annotations", annotations_new(tool->flags));
}

struct offer *offer_new(struct generation *generation, struct tool *tool) {
    struct offer *offer = xcalloc(1, sizeof(*offer));

    offer->tool = tool;
    offer->generation = generation;
    offer->refs = 1;
    list_init(&offer->link);
    turn_init(&offer->turn);
    return offer;
}

json_t *offer_entry(struct offer *offer) {
    struct theseus_error err = {0};

    offer->wanted = true;
    if (!offer->entry && offer->tool->resource)
        offer->entry = json_incref(offer->tool->resource->entry);
    if (!offer->entry && tool_read(offer->tool, &err) == 0 && !(offer->entry = entry_new(offer->tool)))
        (void)fail(&err, ERR_MEMORY, "tool '%s': no memory for its entry", offer->tool->name);
    if (!offer->entry)
        log_error("a tool is missing in the list: %s", err.message);
    return offer->entry;
}

const char *offer_digest(struct offer *offer) {
    CLEANUP(buf_fini) struct buf canonical = {0};
    const json_t *entry = offer->digest[0] ? NULL : offer_entry(offer);

    if (!entry)
        return offer->digest;
    if (jsontext_write_sorted(entry, &canonical, NULL) < 0)
        abort(); /* no memory for what is there already */
    hash_text(buf_span(&canonical), offer->digest);
    return offer->digest;
}

struct offer *offer_free(struct offer *offer) {
    if (!offer)
        return NULL;
    list_remove(&offer->link);
    offer->tool = tool_free(offer->tool);
    json_decref(offer->entry);
    free(offer);
    return NULL;
}
