#include "rpc/schema_compile.h"

#include <stdlib.h>

#include "rpc/schema_value.h"

enum { FEW_CHOICES = 8, FEW_PROPERTIES = 8 };

/* A keyword that is being compiled. */
struct word {
    struct compiler *compiler;
    struct node *node;
    struct resource *resource;
    const json_t *value;
    const struct place *place; /* of the value */
};

typedef int compile_fn(const struct word *word, enum keyword_id id);

static const struct node *child(const struct word *word, const json_t *schema, const char *key, size_t index) {
    struct place place = {.up = word->place, .key = key, .key_len = key ? strlen(key) : 0, .index = index};

    return compiler_node(word->compiler, schema, word->resource, &place);
}

static int compile_type(const struct word *word, enum keyword_id id) {
    (void)id;
    word->node->parts |= PART_VALUE;
    if (json_is_string(word->value))
        word->node->types = keyword_type_bit(json_string_value(word->value));
    for (size_t i = 0; i < json_array_size(word->value); i++)
        word->node->types |= keyword_type_bit(json_string_value(json_array_get(word->value, i)));
    return 0;
}

static int no_memory(const struct word *word) {
    return fail(word->compiler->index.err, ERR_MEMORY, "no memory to compile a schema");
}

static int compile_const(const struct word *word, enum keyword_id id) {
    (void)id;
    word->node->parts |= PART_VALUE;
    word->node->constant = json_deep_copy(word->value);
    return word->node->constant ? 0 : no_memory(word);
}

static int compile_enum(const struct word *word, enum keyword_id id) {
    struct node *node = word->node;

    (void)id;
    node->parts |= PART_VALUE;
    node->choices = json_deep_copy(word->value);
    if (!node->choices)
        return no_memory(word);
    if (json_array_size(node->choices) <= FEW_CHOICES)
        return 0;
    node->string_choices = map_new();
    for (size_t i = 0; i < json_array_size(node->choices); i++) {
        json_t *choice = json_array_get(node->choices, i);
        if (json_is_string(choice))
            (void)map_put(node->string_choices, value_string(choice), choice);
    }
    return 0;
}

static int compile_number(const struct word *word, enum keyword_id id) {
    struct number_rules *rules = node_number(word->node);
    struct number number = number_of(word->value);

    switch (id) {
    case KEYWORD_MINIMUM:
        rules->minimum = number;
        rules->has_minimum = true;
        break;
    case KEYWORD_MAXIMUM:
        rules->maximum = number;
        rules->has_maximum = true;
        break;
    case KEYWORD_EXCLUSIVE_MINIMUM:
        rules->above = number;
        rules->has_above = true;
        break;
    case KEYWORD_EXCLUSIVE_MAXIMUM:
        rules->below = number;
        rules->has_below = true;
        break;
    default:
        rules->multiple = number_to_decimal(number);
        rules->multiple_text = json_deep_copy(word->value);
        return rules->multiple_text ? 0 : no_memory(word);
    }
    return 0;
}

static int compile_count(const struct word *word, enum keyword_id id) {
    struct node *node = word->node;
    size_t count = 0;

    (void)number_to_count(word->value, &count); /* its form was checked */
    switch (id) {
    case KEYWORD_MIN_LENGTH:
        node_string(node)->min = count;
        break;
    case KEYWORD_MAX_LENGTH:
        node_string(node)->max = count;
        break;
    case KEYWORD_MIN_ITEMS:
        node_array(node)->min = count;
        break;
    case KEYWORD_MAX_ITEMS:
        node_array(node)->max = count;
        break;
    case KEYWORD_MIN_CONTAINS:
        node_array(node)->min_contains = count;
        break;
    case KEYWORD_MAX_CONTAINS:
        node_array(node)->max_contains = count;
        break;
    case KEYWORD_MIN_PROPERTIES:
        node_object(node)->min = count;
        break;
    default:
        node_object(node)->max = count;
        break;
    }
    return 0;
}

static int compile_regex(const struct word *word, struct span text, struct pattern **ret_pattern) {
    struct theseus_error reason = {0};
    char where[PLACE_TEXT_BYTES];

    if (pattern_new(ret_pattern, text, &reason) == 0)
        return 0;
    return fail(word->compiler->index.err, reason.code, "%s: '%.60s' is not a valid regular expression: %s",
                place_text(word->place->up, "the schema", where), word->place->key, reason.message);
}

static int compile_pattern(const struct word *word, enum keyword_id id) {
    struct string_rules *rules = node_string(word->node);

    (void)id;
    rules->pattern_text = json_deep_copy(word->value);
    if (!rules->pattern_text)
        return no_memory(word);
    return compile_regex(word, value_string(word->value), &rules->pattern);
}

static int compile_unique(const struct word *word, enum keyword_id id) {
    (void)id;
    node_array(word->node)->unique = json_is_true(word->value);
    return 0;
}

/* Keywords whose value is one schema: where its node belongs. */
static const struct node **slot_of(struct node *node, enum keyword_id id) {
    switch (id) {
    case KEYWORD_ITEMS:
        return &node_array(node)->items;
    case KEYWORD_CONTAINS:
        return &node_array(node)->contains;
    case KEYWORD_UNEVALUATED_ITEMS:
        return &node_array(node)->unevaluated;
    case KEYWORD_ADDITIONAL_PROPERTIES:
        return &node_object(node)->additional;
    case KEYWORD_PROPERTY_NAMES:
        return &node_object(node)->names;
    case KEYWORD_UNEVALUATED_PROPERTIES:
        return &node_object(node)->unevaluated;
    case KEYWORD_NOT:
        return &node_logic(node)->negated;
    case KEYWORD_IF:
        return &node_logic(node)->condition;
    case KEYWORD_THEN:
        return &node_logic(node)->consequence;
    default:
        return &node_logic(node)->otherwise;
    }
}

static int compile_single(const struct word *word, enum keyword_id id) {
    const struct node **slot = slot_of(word->node, id);

    *slot = compiler_node(word->compiler, word->value, word->resource, word->place);
    return *slot ? 0 : -1;
}

static struct node_list *list_of(struct node *node, enum keyword_id id) {
    switch (id) {
    case KEYWORD_PREFIX_ITEMS:
        return &node_array(node)->prefix;
    case KEYWORD_ALL_OF:
        return &node_logic(node)->all;
    case KEYWORD_ANY_OF:
        return &node_logic(node)->any;
    default:
        return &node_logic(node)->one;
    }
}

static int compile_list(const struct word *word, enum keyword_id id) {
    struct node_list *list = list_of(word->node, id);

    list->nodes = xcalloc(json_array_size(word->value), sizeof(*list->nodes));
    for (; list->count < json_array_size(word->value); list->count++) {
        const struct node *node = child(word, json_array_get(word->value, list->count), NULL, list->count);
        if (!node)
            return -1;
        list->nodes[list->count] = node;
    }
    return 0;
}

static int compile_properties(const struct word *word, enum keyword_id id) {
    struct object_rules *rules = node_object(word->node);

    (void)id;
    rules->properties = xcalloc(json_object_size(word->value), sizeof(*rules->properties));
    if (json_object_size(word->value) > FEW_PROPERTIES)
        rules->by_name = map_new();
    for (void *at = json_object_iter((json_t *)word->value); at;
         at = json_object_iter_next((json_t *)word->value, at)) {
        struct property *property = &rules->properties[rules->property_count++];
        property->name = xstrdup(json_object_iter_key(at));
        property->len = strlen(property->name);
        property->node = child(word, json_object_iter_value(at), property->name, 0);
        if (!property->node)
            return -1;
        if (rules->by_name)
            (void)map_put(rules->by_name, span_of(property->name), property);
    }
    return 0;
}

static int compile_pattern_properties(const struct word *word, enum keyword_id id) {
    struct object_rules *rules = node_object(word->node);

    (void)id;
    rules->patterns = xcalloc(json_object_size(word->value), sizeof(*rules->patterns));
    for (void *at = json_object_iter((json_t *)word->value); at;
         at = json_object_iter_next((json_t *)word->value, at)) {
        struct pattern_property *entry = &rules->patterns[rules->pattern_count++];
        const char *text = json_object_iter_key(at);
        entry->node = child(word, json_object_iter_value(at), text, 0);
        if (!entry->node)
            return -1;
        struct place place = {.up = word->place, .key = text, .key_len = strlen(text)};
        struct word inner = *word;
        inner.place = &place;
        if (compile_regex(&inner, span_of(text), &entry->pattern) < 0)
            return -1;
    }
    return 0;
}

static int compile_dependencies(const struct word *word, enum keyword_id id) {
    struct object_rules *rules = node_object(word->node);

    rules->dependencies = xreallocarray(rules->dependencies, rules->dependency_count + json_object_size(word->value),
                                        sizeof(*rules->dependencies));
    for (void *at = json_object_iter((json_t *)word->value); at;
         at = json_object_iter_next((json_t *)word->value, at)) {
        struct dependency *dependency = &rules->dependencies[rules->dependency_count++];
        *dependency = (struct dependency){.name = xstrdup(json_object_iter_key(at))};
        if (id == KEYWORD_DEPENDENT_REQUIRED) {
            dependency->required = json_deep_copy(json_object_iter_value(at));
            if (!dependency->required)
                return no_memory(word);
            continue;
        }
        dependency->node = child(word, json_object_iter_value(at), dependency->name, 0);
        if (!dependency->node)
            return -1;
    }
    return 0;
}

static int compile_required(const struct word *word, enum keyword_id id) {
    struct object_rules *rules = node_object(word->node);

    (void)id;
    rules->required = json_deep_copy(word->value);
    return rules->required ? 0 : no_memory(word);
}

static int compile_reference(const struct word *word, enum keyword_id id) {
    struct compiler *compiler = word->compiler;
    char text[PLACE_TEXT_BYTES];

    word->node->parts |= PART_REFERENCE;
    compiler->pendings = xreallocarray(compiler->pendings, compiler->pending_count + 1, sizeof(*compiler->pendings));
    compiler->pendings[compiler->pending_count++] = (struct pending){
        .node = word->node,
        .resource = word->resource,
        .text = json_string_value(word->value),
        .where = xasprintf("%s: '%s'", place_text(word->place->up, "the schema", text), word->place->key),
        .dynamic = id == KEYWORD_DYNAMIC_REF,
    };
    return 0;
}

/* Schemas that only references may enter. */
static int compile_definition(void *arg, const json_t *schema, const struct place *place) {
    const struct word *word = arg;

    return compiler_node(word->compiler, schema, word->resource, place) ? 0 : -1;
}

static compile_fn *const compilers[KEYWORD_COUNT] = {
    [KEYWORD_REF] = compile_reference,
    [KEYWORD_DYNAMIC_REF] = compile_reference,
    [KEYWORD_TYPE] = compile_type,
    [KEYWORD_ENUM] = compile_enum,
    [KEYWORD_CONST] = compile_const,
    [KEYWORD_MULTIPLE_OF] = compile_number,
    [KEYWORD_MINIMUM] = compile_number,
    [KEYWORD_MAXIMUM] = compile_number,
    [KEYWORD_EXCLUSIVE_MINIMUM] = compile_number,
    [KEYWORD_EXCLUSIVE_MAXIMUM] = compile_number,
    [KEYWORD_MIN_LENGTH] = compile_count,
    [KEYWORD_MAX_LENGTH] = compile_count,
    [KEYWORD_PATTERN] = compile_pattern,
    [KEYWORD_MIN_ITEMS] = compile_count,
    [KEYWORD_MAX_ITEMS] = compile_count,
    [KEYWORD_UNIQUE_ITEMS] = compile_unique,
    [KEYWORD_PREFIX_ITEMS] = compile_list,
    [KEYWORD_ITEMS] = compile_single,
    [KEYWORD_CONTAINS] = compile_single,
    [KEYWORD_MIN_CONTAINS] = compile_count,
    [KEYWORD_MAX_CONTAINS] = compile_count,
    [KEYWORD_UNEVALUATED_ITEMS] = compile_single,
    [KEYWORD_MIN_PROPERTIES] = compile_count,
    [KEYWORD_MAX_PROPERTIES] = compile_count,
    [KEYWORD_REQUIRED] = compile_required,
    [KEYWORD_PROPERTIES] = compile_properties,
    [KEYWORD_PATTERN_PROPERTIES] = compile_pattern_properties,
    [KEYWORD_ADDITIONAL_PROPERTIES] = compile_single,
    [KEYWORD_PROPERTY_NAMES] = compile_single,
    [KEYWORD_DEPENDENT_REQUIRED] = compile_dependencies,
    [KEYWORD_DEPENDENT_SCHEMAS] = compile_dependencies,
    [KEYWORD_UNEVALUATED_PROPERTIES] = compile_single,
    [KEYWORD_ALL_OF] = compile_list,
    [KEYWORD_ANY_OF] = compile_list,
    [KEYWORD_ONE_OF] = compile_list,
    [KEYWORD_NOT] = compile_single,
    [KEYWORD_IF] = compile_single,
    [KEYWORD_THEN] = compile_single,
    [KEYWORD_ELSE] = compile_single,
};

/* A property that is required is asked for once: the rule moves to the property. */
static void merge_required(struct object_rules *rules) {
    for (size_t i = json_array_size(rules->required); i-- > 0;) {
        const json_t *name = json_array_get(rules->required, i);
        struct property *property = (struct property *)object_rules_find(rules, value_string(name));
        if (!property)
            continue;
        property->required = true;
        (void)json_array_remove(rules->required, i);
    }
    if (json_array_size(rules->required) == 0) {
        json_decref(rules->required);
        rules->required = NULL;
    }
}

static int compile_keyword(struct word *word, const char *name, const struct place *place) {
    const struct keyword *keyword = index_keyword(word->resource, name);
    struct place inner = {.up = place, .key = name, .key_len = strlen(name)};

    if (!keyword)
        return 0; /* lenient, or it would not have come so far */
    word->place = &inner;
    if (compilers[keyword->id])
        return compilers[keyword->id](word, keyword->id);
    return keyword_visit(keyword, word->value, place, compile_definition, word);
}

static const struct node *boolean_node(const struct compiler *compiler, const json_t *schema) {
    return json_is_true(schema) ? compiler->always : compiler->never;
}

const struct node *compiler_node(struct compiler *compiler, const json_t *schema, struct resource *outer,
                                 const struct place *place) {
    struct node *node = json_is_boolean(schema) ? NULL : map_get(compiler->nodes, index_key(&schema));
    struct resource *resource = index_resource_at(&compiler->index, schema, outer);

    if (json_is_boolean(schema))
        return boolean_node(compiler, schema);
    if (node)
        return node;
    node = node_new(compiler->index.schema, resource);
    (void)map_put(compiler->nodes, index_key(&schema), node);
    for (void *at = json_object_iter((json_t *)schema); at; at = json_object_iter_next((json_t *)schema, at)) {
        struct word word = {
            .compiler = compiler, .node = node, .resource = resource, .value = json_object_iter_value(at)};
        if (compile_keyword(&word, json_object_iter_key(at), place) < 0)
            return NULL;
    }
    if (node->object && node->object->required)
        merge_required(node->object);
    return node;
}

void compiler_init(struct compiler *compiler, struct schema *schema, const struct schema_options *options,
                   struct theseus_error *err) {
    *compiler = (struct compiler){.nodes = map_new()};
    index_init(&compiler->index, schema, options, err);
    struct node *never = node_new(schema, NULL), *dialect = node_new(schema, NULL);
    never->parts = PART_NEVER;
    dialect->parts = PART_DIALECT;
    compiler->always = node_new(schema, NULL);
    compiler->never = never;
    compiler->dialect = dialect;
}

void compiler_fini_cleanup(struct compiler *compiler) {
    for (size_t i = 0; i < compiler->pending_count; i++)
        free(compiler->pendings[i].where);
    free(compiler->pendings);
    compiler->nodes = map_free(compiler->nodes);
    index_fini(&compiler->index);
}
