/*
 * What a schema is compiled into.
 *
 * One node per schema of the document, in one flat list that owns them all; between themselves they borrow, because
 * references make cycles. Rules for one type of value stand together in a part that is absent where there are none.
 * Nothing here points into the document, and nothing is written after compiling.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/map.h"
#include "rpc/schema_number.h"
#include "rpc/schema_pattern.h"

struct node;

struct node_list {
    const struct node **nodes; /* owned array of borrowed nodes */
    size_t count;
};

struct number_rules {
    struct number minimum, maximum, above, below;
    bool has_minimum, has_maximum, has_above, has_below;
    json_t *multiple_text; /* owned; NULL: no multipleOf */
    struct decimal multiple;
};

struct string_rules {
    size_t min, max;         /* in code points */
    struct pattern *pattern; /* owned; may be NULL */
    json_t *pattern_text;    /* owned */
};

struct array_rules {
    size_t min, max;
    bool unique;
    struct node_list prefix;
    const struct node *items, *contains, *unevaluated; /* may be NULL */
    size_t min_contains, max_contains;
};

struct property {
    char *name; /* owned */
    size_t len;
    const struct node *node;
    bool required;
};

struct pattern_property {
    struct pattern *pattern; /* owned */
    const struct node *node;
};

struct dependency {
    char *name;              /* owned */
    json_t *required;        /* owned array of strings; may be NULL */
    const struct node *node; /* may be NULL */
};

struct object_rules {
    size_t min, max;
    struct property *properties;
    size_t property_count;
    struct map *by_name; /* owned, of borrowed struct property; NULL where they are few */
    json_t *required;    /* owned array of strings: those that are no properties; may be NULL */
    struct pattern_property *patterns;
    size_t pattern_count;
    struct dependency *dependencies;
    size_t dependency_count;
    const struct node *additional, *names, *unevaluated; /* may be NULL */
};

struct logic_rules {
    struct node_list all, any, one;
    const struct node *negated, *condition, *consequence, *otherwise; /* may be NULL */
};

struct anchor {
    char *name;              /* owned */
    const json_t *json;      /* while compiling */
    const struct node *node; /* of dynamic anchors */
    bool dynamic;
};

/* A schema with its own URI, and what has a name in it. */
struct resource {
    struct resource *next; /* schema::resources, owned */
    char *uri;             /* owned */
    const json_t *root;    /* while compiling */
    unsigned vocabularies;
    struct anchor *anchors;
    size_t anchor_count;
};

enum {
    PART_VALUE = 1 << 0, /* type, const, enum */
    PART_NUMBER = 1 << 1,
    PART_STRING = 1 << 2,
    PART_ARRAY = 1 << 3,
    PART_OBJECT = 1 << 4,
    PART_LOGIC = 1 << 5,
    PART_REFERENCE = 1 << 6,
    PART_NEVER = 1 << 7,   /* the schema `false` */
    PART_DIALECT = 1 << 8, /* the value must be a schema: a reference to the dialect's own schema */
    PART_FLAT = PART_VALUE | PART_NUMBER | PART_STRING | PART_NEVER, /* nothing but these: no other schema is entered */
};

struct node {
    struct node *next; /* schema::nodes, owned */
    const struct resource *resource;
    unsigned parts;             /* PART_…; 0: everything holds */
    unsigned types;             /* TYPE_…; 0: every type */
    json_t *constant;           /* owned; NULL: no const */
    json_t *choices;            /* owned array; NULL: no enum */
    struct map *string_choices; /* owned; the strings among many choices */
    struct number_rules *number;
    struct string_rules *string;
    struct array_rules *array;
    struct object_rules *object;
    struct logic_rules *logic;
    const struct node *reference; /* $ref */
    const struct node *dynamic;   /* $dynamicRef, as it stands */
    char *dynamic_name;           /* owned; not NULL: the outermost dynamic anchor of this name goes before */
};

struct schema {
    struct node *nodes;
    struct resource *resources;
    const struct node *root;
};

struct node *node_new(struct schema *schema, const struct resource *resource);
struct resource *resource_new(struct schema *schema, char *uri); /* takes the URI */
struct anchor *resource_find_anchor(const struct resource *resource, const char *name, bool dynamic);

/* The part of a node, made when the first rule needs it. */
struct number_rules *node_number(struct node *node);
struct string_rules *node_string(struct node *node);
struct array_rules *node_array(struct node *node);
struct object_rules *node_object(struct node *node);
struct logic_rules *node_logic(struct node *node);

const struct property *object_rules_find(const struct object_rules *rules, struct span name);
