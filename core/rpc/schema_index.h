/*
 * The documents that a schema consists of: itself and those of the remotes that are referred to. Adding one checks the
 * form of every keyword in it, so that the compiler meets well-formed schemas only, and notes what has a URI or an
 * anchor before any reference is followed.
 */
#pragma once

#include "rpc/schema.h"
#include "rpc/schema_keyword.h"
#include "rpc/schema_node.h"

struct index {
    struct schema *schema;                /* borrowed */
    const struct schema_options *options; /* borrowed */
    struct map *by_uri;                   /* owned, of struct resource (schema::resources) */
    struct map *roots;                    /* owned: a schema's json_t to the struct resource that begins there */
    struct theseus_error *err;            /* borrowed; of the call that is going on */
};

void index_init(struct index *index, struct schema *schema, const struct schema_options *options,
                struct theseus_error *err);
void index_fini(struct index *index);

/* Both return NULL on failure. index_find() adds the remote of that URI when it is needed first. */
struct resource *index_add(struct index *index, const json_t *document, const char *uri);
struct resource *index_find(struct index *index, const char *uri);

/* Checks a schema at a place where none was expected; it gets no names. */
MUST_CHECK int index_check_stray(struct index *index, const json_t *schema, struct resource *resource);

/* The resource of a schema inside `outer`: its own if it has one. */
struct resource *index_resource_at(const struct index *index, const json_t *schema, struct resource *outer);

/* The keyword, if it means anything in this resource's dialect. */
const struct keyword *index_keyword(const struct resource *resource, const char *name);

bool index_is_dialect(struct span uri); /* the URI of a draft that is read here */

static inline struct span index_key(const json_t *const *json) {
    return (struct span){(const char *)json, sizeof(*json)};
}
