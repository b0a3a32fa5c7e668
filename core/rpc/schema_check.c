#include "rpc/schema_check.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "rpc/schema.h"

enum { RULES_PER_STEP = 8 };

int check_mismatch(struct check *check, enum check_rank rank, const char *format, ...) {
    char text[PLACE_TEXT_BYTES], rule[sizeof(check->found.message)];
    va_list args;

    check->failure = (struct check_failure){check->depth, rank};
    if (check->quiet > 0)
        return CHECK_MISMATCH;
    const char *where = place_text(check->place, "the value", text);
    va_start(args, format);
    (void)vsnprintf(rule, sizeof(rule), format, args);
    va_end(args);
    (void)fail(&check->found, ERR_INVALID, "%s: %s%s", where, check->of_name ? "the name " : "", rule);
    check->rule_at = strlen(where) + 2;
    return CHECK_MISMATCH;
}

int check_stop(struct check *check) {
    char text[PLACE_TEXT_BYTES];
    const char *where = place_text(check->place, "the value", text);

    if (check->effort.too_deep)
        return fail(&check->found, ERR_LIMIT, "%s: nested more than %d levels deep", where, LIMIT_JSON_DEPTH);
    return fail(&check->found, ERR_LIMIT, "%s: takes more than %d steps to check; send less at a time", where,
                SCHEMA_STEPS);
}

int check_no_memory(struct check *check) {
    return fail(&check->found, ERR_MEMORY, "no memory to check a value");
}

int check_unmatched(struct check *check, const char *keyword) {
    char text[PLACE_TEXT_BYTES];

    return error_prefix(&check->found, "%s: '%s': ", place_text(check->place, "the value", text), keyword);
}

static int stop_nesting(struct check *check) {
    char text[PLACE_TEXT_BYTES];
    const char *where = place_text(check->place, "the value", text);

    if (check->nested > LIMIT_SCHEMA_DEPTH)
        return fail(&check->found, ERR_LIMIT, "%s: its schema leads through more than %d schemas for this one value",
                    where, LIMIT_SCHEMA_DEPTH);
    return fail(&check->found, ERR_LIMIT, "%s: its schema leads through more than %d schemas", where, SCHEMA_FRAMES);
}

/* The outermost dynamic anchor of that name among the resources that were entered, else what the reference says. */
static const struct node *dynamic_target(const struct check *check, const struct node *node) {
    const struct node *target = node->dynamic;

    if (!node->dynamic_name)
        return target;
    for (const struct scope *scope = check->scope; scope; scope = scope->outer) {
        const struct anchor *anchor = resource_find_anchor(scope->resource, node->dynamic_name, true);
        if (anchor && anchor->node)
            target = anchor->node;
    }
    return target;
}

static int check_parts(struct check *check, const struct node *node, const json_t *value, struct seen *seen) {
    int r = check_flat(check, node, value);

    if (r == 0 && node->reference)
        r = check_node(check, node->reference, value, seen);
    if (r == 0 && node->dynamic)
        r = check_node(check, dynamic_target(check, node), value, seen);
    if (r == 0 && node->object && json_is_object(value))
        r = check_object(check, node->object, value, seen);
    if (r == 0 && node->array && json_is_array(value))
        r = check_array(check, node->array, value, seen);
    if (r == 0 && node->logic)
        r = check_logic(check, node->logic, value, seen);
    return r;
}

/* A node that asks what was left unevaluated; without anybody who asks above it, it keeps the list itself. */
static int check_asking(struct check *check, const struct node *node, const json_t *value, struct seen *outer) {
    struct seen own = {0};
    struct seen *seen = outer ? outer : &own;
    struct seen_state before = seen_begin(seen);
    int r = check_parts(check, node, value, seen);

    if (r == 0 && json_is_object(value))
        r = check_unevaluated_properties(check, node->object, value, seen);
    else if (r == 0)
        r = check_unevaluated_items(check, node->array->unevaluated, value, seen);
    seen_end(seen, before);
    seen_fini(&own);
    return r;
}

static bool asks(const struct node *node, const json_t *value) {
    return (node->object && node->object->unevaluated && json_is_object(value)) ||
           (node->array && node->array->unevaluated && json_is_array(value));
}

static size_t cost(const struct node *node) {
    size_t rules = 0;

    if (node->object)
        rules += node->object->property_count + node->object->dependency_count;
    if (node->logic)
        rules += node->logic->all.count + node->logic->any.count + node->logic->one.count;
    return 1 + rules / RULES_PER_STEP;
}

static int check_entered(struct check *check, const struct node *node, const json_t *value, struct seen *seen) {
    if (node->parts & PART_DIALECT)
        return check_dialect(check, value);
    return asks(node, value) ? check_asking(check, node, value, seen) : check_parts(check, node, value, seen);
}

int check_node(struct check *check, const struct node *node, const json_t *value, struct seen *seen) {
    struct scope scope = {check->scope, node->resource};
    const struct scope *outer = check->scope;

    if (!(node->parts & ~PART_FLAT))
        return check_flat(check, node, value);
    if (!check_may_go_on(check, cost(node)))
        return check_stop(check);
    check->nested++;
    check->frames++;
    if (check->nested > LIMIT_SCHEMA_DEPTH || check->frames > SCHEMA_FRAMES)
        return stop_nesting(check);
    if (node->resource && (!outer || outer->resource != node->resource))
        check->scope = &scope;
    int r = check_entered(check, node, value, seen);
    check->scope = outer;
    check->nested--;
    check->frames--;
    return r;
}

int check_child(struct check *check, const struct node *node, const json_t *value, const struct place *place) {
    const struct place *outer = check->place;
    unsigned nested = check->nested;
    unsigned levels = check->depth + 1 + (json_is_object(value) || json_is_array(value));

    if (node->parts == 0)
        return 0;
    if (levels > LIMIT_JSON_DEPTH) {
        effort_end_too_deep(&check->effort);
        return check_stop(check);
    }
    check->place = place;
    check->depth++;
    check->nested = 0;
    int r = check_node(check, node, value, NULL);
    check->nested = nested;
    check->depth--;
    check->place = outer;
    return r;
}

int check_quietly(struct check *check, const struct node *node, const json_t *value, struct seen *seen) {
    struct seen_state before = {0};

    if (seen)
        before = seen_state(seen);
    check->quiet++;
    int r = check_node(check, node, value, seen);
    check->quiet--;
    if (r != 0 && seen)
        seen_rewind(seen, before);
    return r;
}

int schema_check(const struct schema *schema, const json_t *value, struct theseus_error *err) {
    struct place root = {0};
    struct check check;

    if (!value)
        return fail(err, ERR_INVALID, "the value: there is none");
    memset(&check, 0, offsetof(struct check, found));
    check.found.code = ERR_UNSET;
    check.rule_at = 0;
    check.place = &root;
    check.effort.left = SCHEMA_STEPS;
    check.patterns.effort = &check.effort;
    int r = check_node(&check, schema->root, value, NULL);
    if (r >= 0 && check.effort.left == 0) { /* whatever was found since is worth nothing */
        check.found.code = ERR_UNSET;
        r = check_stop(&check);
    }
    if (check.patterns.data)
        pattern_work_fini(&check.patterns);
    return r == 0 ? 0 : fail(err, (enum errc)check.found.code, "%s", check.found.message);
}
