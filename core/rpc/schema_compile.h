/*
 * From a checked document to nodes. References are written down while the nodes are made and resolved afterwards, when
 * everything that they may name is known; resolving one can add a document, and with it more references.
 */
#pragma once

#include "rpc/schema_index.h"

struct pending {
    struct node *node;
    struct resource *resource; /* whose URI the reference is relative to */
    const char *text;          /* borrowed from the document */
    char *where;               /* owned: place and keyword, for messages */
    bool dynamic;
};

struct compiler {
    struct index index;
    struct map *nodes; /* owned: json_t to struct node (schema::nodes) */
    struct pending *pendings;
    size_t pending_count;
    const struct node *always, *never, *dialect; /* schema::nodes */
    bool names_dialect;                          /* a reference to the dialect's own schema was met */
};

void compiler_init(struct compiler *compiler, struct schema *schema, const struct schema_options *options,
                   struct theseus_error *err);
void compiler_fini_cleanup(struct compiler *compiler);

/* The node of a schema, compiled unless it has been. NULL: the error says why not. */
const struct node *compiler_node(struct compiler *compiler, const json_t *schema, struct resource *outer,
                                 const struct place *place);

MUST_CHECK int compiler_resolve(struct compiler *compiler); /* all references, and the dynamic anchors */
