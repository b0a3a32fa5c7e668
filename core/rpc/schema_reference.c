/*
 * $ref and $dynamicRef: from a URI to a node.
 *
 * A reference to the schema of a dialect itself is answered without its document: the value must then have the form
 * that this compiler asks of schemas. A document that wants to extend that schema through its dynamic anchor "meta" is
 * refused, because nothing would be extended.
 */
#include <stdlib.h>

#include "rpc/schema_compile.h"
#include "rpc/schema_uri.h"

static int unresolved(const struct compiler *compiler, const struct pending *pending, const char *why) {
    return fail(compiler->index.err, ERR_INVALID, "%s to '%.80s' cannot be resolved: %s", pending->where, pending->text,
                why);
}

static const json_t *step_into(const json_t *at, const char *token) {
    char *end;

    if (json_is_object(at))
        return json_object_get(at, token);
    if (token[0] < '0' || token[0] > '9' || (token[0] == '0' && token[1]))
        return NULL;
    unsigned long index = strtoul(token, &end, 10);
    return *end ? NULL : json_array_get(at, index);
}

/* Follows a JSON pointer; *resource becomes the one that the target is in. */
static const json_t *follow(const struct compiler *compiler, const char *pointer, struct resource **resource) {
    const json_t *at = (*resource)->root;

    while (at && *pointer == '/') {
        CLEANUP(free) char *token = uri_pointer_next(&pointer);
        at = step_into(at, token);
        if (at && *pointer) /* the target's own resource is the compiler's business */
            *resource = index_resource_at(&compiler->index, at, *resource);
    }
    return *pointer ? NULL : at;
}

static const struct node *node_at(struct compiler *compiler, const json_t *schema, struct resource *resource,
                                  const char *uri) {
    struct place root = {0};
    const struct node *node = json_is_boolean(schema) ? NULL : map_get(compiler->nodes, index_key(&schema));

    if (node)
        return node;
    /* The pointer leads to a place that no keyword knows to hold a schema. */
    if (index_check_stray(&compiler->index, schema, resource) == 0)
        node = compiler_node(compiler, schema, resource, &root);
    if (!node)
        (void)error_prefix(compiler->index.err, "in '%.80s': ", uri);
    return node;
}

static const struct node *resolve_fragment(struct compiler *compiler, const struct pending *pending,
                                           struct resource *resource, const char *fragment) {
    const json_t *target = resource->root;

    if (fragment[0] == '/') {
        target = follow(compiler, fragment, &resource);
    } else if (fragment[0]) {
        const struct anchor *anchor = resource_find_anchor(resource, fragment, false);
        if (pending->dynamic && resource_find_anchor(resource, fragment, true))
            pending->node->dynamic_name = xstrdup(fragment);
        target = anchor ? anchor->json : NULL;
    }
    if (!target) {
        (void)unresolved(compiler, pending, "there is nothing at that place");
        return NULL;
    }
    return node_at(compiler, target, resource, pending->text);
}

static const struct node *resolve(struct compiler *compiler, const struct pending *pending) {
    struct span rest, fragment;
    struct place root = {0};

    uri_split(span_of(pending->text), &rest, &fragment);
    CLEANUP(free) char *uri = uri_resolve(pending->resource->uri, rest);
    CLEANUP(free) char *place = uri_decode(fragment);
    struct resource *resource = index_find(&compiler->index, uri);
    if (!resource && index_is_dialect(span_of(uri)) && fragment.len == 0) {
        compiler->names_dialect = true;
        return compiler->dialect;
    }
    if (!resource || !place) {
        (void)unresolved(compiler, pending,
                         place ? "no such document is at hand, and nothing is fetched"
                               : "its fragment is not well encoded");
        return NULL;
    }
    if (!compiler_node(compiler, resource->root, resource, &root)) {
        (void)error_prefix(compiler->index.err, "in '%.80s': ", uri);
        return NULL;
    }
    return resolve_fragment(compiler, pending, resource, place);
}

static int finish_dynamic_anchors(struct compiler *compiler) {
    for (struct resource *resource = compiler->index.schema->resources; resource; resource = resource->next)
        for (size_t i = 0; i < resource->anchor_count; i++) {
            struct anchor *anchor = &resource->anchors[i];
            anchor->node = map_get(compiler->nodes, index_key(&anchor->json));
            if (compiler->names_dialect && anchor->dynamic && strcmp(anchor->name, "meta") == 0)
                return fail(compiler->index.err, ERR_INVALID,
                            "'$dynamicAnchor': 'meta' beside a reference to '%s' is not supported",
                            "https://json-schema.org/draft/2020-12/schema");
        }
    return 0;
}

int compiler_resolve(struct compiler *compiler) {
    for (size_t i = 0; i < compiler->pending_count; i++) {
        struct pending pending = compiler->pendings[i]; /* the array may move */
        const struct node *target = resolve(compiler, &pending);
        if (!target)
            return -1;
        if (pending.dynamic)
            pending.node->dynamic = target;
        else
            pending.node->reference = target;
    }
    return finish_dynamic_anchors(compiler);
}
