/*
 * Bans: images that are not loaded any more, because they crash. They are known by their hash, so that the same content
 * is met again under whatever name and time; another content is another image, and none of it is held against that.
 *
 * The ledger has them; shelf.h keeps them for servers to come. Texts are owned by the ban.
 */
#pragma once

#include <jansson.h>

#include "ledger/ledger.h"

struct ban {
    char *hash;          /* of the image; NULL: no ban */
    char *plugin, *file; /* whose it is, and where it came from */
    char *version;
    char *signal, *where; /* "SIGSEGV", and "tool 'x'" or the like; either empty: not known */
    char *how;            /* what its process did, if it had one of its own: "ended by itself (…)"; else empty */
    char *good_hash, *good_version; /* what serves in its place; empty: nothing does */
    char *failed;                   /* why that cannot be loaded either; empty: it serves, or was not tried yet */
    json_t *tools;                  /* array: the names of its own tools */
    int64_t at_ms;                  /* wall clock */
    int crashes, window;            /* so many within so many seconds */
    bool probation;                 /* it was new */
};

void ban_fini(struct ban *ban);

/* The ban of this image. False: there is none. */
bool ban_find(struct ledger *ledger, const char *hash, struct ban *ret_ban);
/* The youngest of a plugin's images; of those that have such a tool. */
bool ban_of_plugin(struct ledger *ledger, const char *plugin, struct ban *ret_ban);
bool ban_of_tool(struct ledger *ledger, const char *tool, struct ban *ret_ban);

typedef void ban_visit_fn(void *arg, const struct ban *ban);
void ban_each(struct ledger *ledger, ban_visit_fn *visit, void *arg);

void ban_put(struct batch *batch, const struct ban *ban);
void ban_drop(struct batch *batch, const struct ban *ban);

/* "crashed with SIGSEGV in tool 'x', once". Owned. */
char *ban_crash(const struct ban *ban);
/* A sentence: what it did, what became of it, and how to mend it. Owned. */
char *ban_reason(const struct ban *ban);

json_t *ban_pack_new(const struct ban *ban); /* new reference; NULL: no memory */
MUST_CHECK int ban_unpack(struct ban *ret_ban, const json_t *packed, struct theseus_error *err);

void ban_fini_cleanup(struct ban *ban); /* CLEANUP(ban_fini) struct ban ban = {0}; */
