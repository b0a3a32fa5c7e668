#include "rpc/schema_node.h"

#include <stdint.h>
#include <stdlib.h>

#include "rpc/schema.h"

struct node *node_new(struct schema *schema, const struct resource *resource) {
    struct node *node = xcalloc(1, sizeof(*node));

    node->resource = resource;
    node->next = schema->nodes;
    schema->nodes = node;
    return node;
}

struct resource *resource_new(struct schema *schema, char *uri) {
    struct resource *resource = xcalloc(1, sizeof(*resource));

    resource->uri = uri;
    resource->next = schema->resources;
    schema->resources = resource;
    return resource;
}

struct anchor *resource_find_anchor(const struct resource *resource, const char *name, bool dynamic) {
    for (size_t i = 0; i < resource->anchor_count; i++)
        if ((resource->anchors[i].dynamic || !dynamic) && strcmp(resource->anchors[i].name, name) == 0)
            return &resource->anchors[i];
    return NULL;
}

struct number_rules *node_number(struct node *node) {
    node->parts |= PART_NUMBER;
    if (!node->number)
        node->number = xcalloc(1, sizeof(*node->number));
    return node->number;
}

struct string_rules *node_string(struct node *node) {
    node->parts |= PART_STRING;
    if (!node->string) {
        node->string = xcalloc(1, sizeof(*node->string));
        node->string->max = SIZE_MAX;
    }
    return node->string;
}

struct array_rules *node_array(struct node *node) {
    node->parts |= PART_ARRAY;
    if (!node->array) {
        node->array = xcalloc(1, sizeof(*node->array));
        node->array->max = node->array->max_contains = SIZE_MAX;
        node->array->min_contains = 1;
    }
    return node->array;
}

struct object_rules *node_object(struct node *node) {
    node->parts |= PART_OBJECT;
    if (!node->object) {
        node->object = xcalloc(1, sizeof(*node->object));
        node->object->max = SIZE_MAX;
    }
    return node->object;
}

struct logic_rules *node_logic(struct node *node) {
    node->parts |= PART_LOGIC;
    if (!node->logic)
        node->logic = xcalloc(1, sizeof(*node->logic));
    return node->logic;
}

const struct property *object_rules_find(const struct object_rules *rules, struct span name) {
    if (rules->by_name)
        return map_get(rules->by_name, name);
    for (size_t i = 0; i < rules->property_count; i++)
        if (span_same((struct span){rules->properties[i].name, rules->properties[i].len}, name))
            return &rules->properties[i];
    return NULL;
}

static void object_rules_free(struct object_rules *rules) {
    if (!rules)
        return;
    for (size_t i = 0; i < rules->property_count; i++)
        free(rules->properties[i].name);
    for (size_t i = 0; i < rules->pattern_count; i++)
        (void)pattern_free(rules->patterns[i].pattern);
    for (size_t i = 0; i < rules->dependency_count; i++) {
        free(rules->dependencies[i].name);
        json_decref(rules->dependencies[i].required);
    }
    free(rules->properties);
    free(rules->patterns);
    free(rules->dependencies);
    json_decref(rules->required);
    (void)map_free(rules->by_name);
    free(rules);
}

static void logic_rules_free(struct logic_rules *rules) {
    if (!rules)
        return;
    free(rules->all.nodes);
    free(rules->any.nodes);
    free(rules->one.nodes);
    free(rules);
}

static void node_free(struct node *node) {
    json_decref(node->constant);
    json_decref(node->choices);
    (void)map_free(node->string_choices);
    if (node->number)
        json_decref(node->number->multiple_text);
    free(node->number);
    if (node->string) {
        (void)pattern_free(node->string->pattern);
        json_decref(node->string->pattern_text);
    }
    free(node->string);
    if (node->array)
        free(node->array->prefix.nodes);
    free(node->array);
    object_rules_free(node->object);
    logic_rules_free(node->logic);
    free(node->dynamic_name);
    free(node);
}

static void resource_free(struct resource *resource) {
    for (size_t i = 0; i < resource->anchor_count; i++)
        free(resource->anchors[i].name);
    free(resource->anchors);
    free(resource->uri);
    free(resource);
}

struct schema *schema_free(struct schema *schema) {
    if (!schema)
        return NULL;
    for (struct node *node = schema->nodes, *next; node; node = next) {
        next = node->next;
        node_free(node);
    }
    for (struct resource *resource = schema->resources, *next; resource; resource = next) {
        next = resource->next;
        resource_free(resource);
    }
    free(schema);
    return NULL;
}
