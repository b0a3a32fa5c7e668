/*
 * The rules of objects. What the schema names is looked up in the value; the value's members are gone through only
 * where a rule is about members that the schema does not name.
 */
#include <stdio.h>
#include <string.h>

#include "rpc/schema_check.h"
#include "rpc/schema_value.h"

enum { KNOWN_BYTES = 100, MISSING_BYTES = 140, MEMBERS_PER_STEP = 16 };

struct member {
    const char *name;
    size_t len;
    const json_t *value;
};

static struct member member_at(void *at) {
    return (struct member){json_object_iter_key(at), json_object_iter_key_len(at), json_object_iter_value(at)};
}

static int check_member(struct check *check, const struct node *node, struct member member) {
    struct place place = {.up = check->place, .key = member.name, .key_len = member.len};

    return check_child(check, node, member.value, &place);
}

/* Names of properties that are missing, as many as fit. */
struct missing {
    char text[MISSING_BYTES + 16];
    size_t used, count;
};

static void add_missing(struct missing *missing, const char *name) {
    bool fits = missing->used + strlen(name) + 4 < MISSING_BYTES, is_first = missing->count++ == 0;

    if (missing->used >= MISSING_BYTES)
        return;
    if (fits || is_first) {
        int len = snprintf(missing->text + missing->used, MISSING_BYTES - missing->used, "%s'%.80s'",
                           is_first ? "" : ", ", name);
        missing->used += (size_t)len;
    } else {
        (void)strcpy(missing->text + missing->used, ", \xe2\x80\xa6");
        missing->used = MISSING_BYTES;
    }
}

/* All of them at once: whoever calls again is to be right then. */
static int refuse_missing(struct check *check, const struct object_rules *rules, const json_t *value) {
    struct missing missing = {0};

    for (size_t i = 0; i < rules->property_count && check->quiet == 0; i++)
        if (rules->properties[i].required && !json_object_iter_at((json_t *)value, rules->properties[i].name))
            add_missing(&missing, rules->properties[i].name);
    for (size_t i = 0; i < json_array_size(rules->required) && check->quiet == 0; i++) {
        const json_t *name = json_array_get(rules->required, i);
        if (!json_object_getn(value, json_string_value(name), json_string_length(name)))
            add_missing(&missing, json_string_value(name));
    }
    return check_mismatch(check, RANK_REQUIRED, "must have the propert%s %s", missing.count > 1 ? "ies" : "y",
                          missing.text);
}

/* *ret_found is how many of the properties the value has. */
static int check_properties(struct check *check, const struct object_rules *rules, const json_t *value,
                            struct seen *seen, size_t *ret_found) {
    *ret_found = 0;
    for (size_t i = 0; i < rules->property_count; i++) {
        const struct property *property = &rules->properties[i];
        void *at = json_object_iter_at((json_t *)value, property->name);
        if (!at && property->required)
            return refuse_missing(check, rules, value);
        if (!at)
            continue;
        ++*ret_found;
        int r = check_member(check, property->node, member_at(at));
        if (r != 0)
            return r;
        if (seen_add(seen, (uintptr_t)json_object_iter_key(at)) < 0)
            return check_no_memory(check);
    }
    return 0;
}

static int check_required(struct check *check, const struct object_rules *rules, const json_t *value) {
    for (size_t i = 0; i < json_array_size(rules->required); i++) {
        const json_t *name = json_array_get(rules->required, i);
        if (!json_object_getn(value, json_string_value(name), json_string_length(name)))
            return refuse_missing(check, rules, value);
    }
    return 0;
}

/* A member that no rule knows, where only known ones may be: says which those are. */
static int refuse_unknown(struct check *check, const struct object_rules *rules, struct member member) {
    const struct place *outer = check->place;
    struct place place = {.up = outer, .key = member.name, .key_len = member.len};
    char known[KNOWN_BYTES + 16] = "";
    size_t used = 0;

    check->place = &place;
    check->depth++;
    for (size_t i = 0; i < rules->property_count && check->quiet == 0; i++) {
        const struct property *property = &rules->properties[i];
        bool fits = used + property->len + 4 < KNOWN_BYTES;
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s%s%s", i ? ", " : "; known are ",
                                 fits ? "'" : "", fits ? property->name : "\xe2\x80\xa6", fits ? "'" : "");
        if (!fits)
            break;
    }
    int r = check_mismatch(check, RANK_DETAIL, "is not an allowed property%s", known);
    check->depth--;
    check->place = outer;
    return r;
}

static int check_rest_member(struct check *check, const struct object_rules *rules, const struct node *node,
                             struct member member) {
    return node->parts & PART_NEVER ? refuse_unknown(check, rules, member) : check_member(check, node, member);
}

/* Checks the member against every pattern that its name matches; *known becomes true if there is one. */
static int check_patterns(struct check *check, const struct object_rules *rules, struct member member, bool *known) {
    for (size_t i = 0; i < rules->pattern_count; i++) {
        int r = pattern_match(rules->patterns[i].pattern, &check->patterns, (struct span){member.name, member.len},
                              &check->found);
        if (r == PATTERN_MISS)
            continue;
        if (r < 0)
            return check_unmatched(check, "patternProperties");
        *known = true;
        r = check_member(check, rules->patterns[i].node, member);
        if (r != 0)
            return r;
    }
    return 0;
}

static int check_others(struct check *check, const struct object_rules *rules, const json_t *value, struct seen *seen) {
    for (void *at = json_object_iter((json_t *)value); at; at = json_object_iter_next((json_t *)value, at)) {
        struct member member = member_at(at);
        bool known = object_rules_find(rules, (struct span){member.name, member.len}) != NULL;
        bool by_pattern = false;
        int r = check_patterns(check, rules, member, &by_pattern);
        if (r == 0 && !known && !by_pattern && rules->additional) {
            r = check_rest_member(check, rules, rules->additional, member);
            by_pattern = r == 0;
        }
        if (r != 0)
            return r;
        if (by_pattern && seen_add(seen, (uintptr_t)member.name) < 0)
            return check_no_memory(check);
    }
    return 0;
}

static int check_names(struct check *check, const struct node *node, const json_t *value) {
    int r = 0;

    for (void *at = json_object_iter((json_t *)value); at && r == 0; at = json_object_iter_next((json_t *)value, at)) {
        struct member member = member_at(at);
        bool outer = check->of_name;
        json_t *name = json_stringn_nocheck(member.name, member.len);
        if (!name)
            return check_no_memory(check);
        member.value = name;
        check->of_name = true;
        r = check_member(check, node, member);
        check->of_name = outer;
        json_decref(name);
    }
    return r;
}

static int check_dependency(struct check *check, const struct dependency *dependency, const json_t *value,
                            struct seen *seen) {
    if (!json_object_get(value, dependency->name))
        return 0;
    for (size_t i = 0; i < json_array_size(dependency->required); i++) {
        const json_t *name = json_array_get(dependency->required, i);
        if (!json_object_getn(value, json_string_value(name), json_string_length(name)))
            return check_mismatch(check, RANK_REQUIRED, "must have the property '%.60s', because it has '%.60s'",
                                  json_string_value(name), dependency->name);
    }
    return dependency->node ? check_node(check, dependency->node, value, seen) : 0;
}

static int check_size(struct check *check, const struct object_rules *rules, size_t count) {
    if (count < rules->min)
        return check_mismatch(check, RANK_DETAIL, "must have at least %zu propert%s, has %zu", rules->min,
                              rules->min == 1 ? "y" : "ies", count);
    if (count > rules->max)
        return check_mismatch(check, RANK_DETAIL, "must have at most %zu propert%s, has %zu", rules->max,
                              rules->max == 1 ? "y" : "ies", count);
    return 0;
}

int check_object(struct check *check, const struct object_rules *rules, const json_t *value, struct seen *seen) {
    size_t count = json_object_size(value), found = 0;

    if (!check_may_go_on(check, count / (rules->names ? 1 : MEMBERS_PER_STEP)))
        return check_stop(check);
    int r = check_size(check, rules, count);
    if (r == 0 && rules->required)
        r = check_required(check, rules, value);
    if (r == 0)
        r = check_properties(check, rules, value, seen, &found);
    bool others_matter = rules->pattern_count > 0 || (rules->additional && (found < count));
    if (r == 0 && others_matter && (rules->pattern_count > 0 || rules->additional->parts != 0 || seen))
        r = check_others(check, rules, value, seen);
    if (r == 0 && rules->names)
        r = check_names(check, rules->names, value);
    for (size_t i = 0; i < rules->dependency_count && r == 0; i++)
        r = check_dependency(check, &rules->dependencies[i], value, seen);
    return r;
}

int check_unevaluated_properties(struct check *check, const struct object_rules *rules, const json_t *value,
                                 struct seen *seen) {
    if (seen->all)
        return 0;
    if (!check_may_go_on(check, seen->count - seen->start))
        return check_stop(check);
    seen_sort(seen);
    for (void *at = json_object_iter((json_t *)value); at; at = json_object_iter_next((json_t *)value, at)) {
        struct member member = member_at(at);
        if (seen_has(seen, (uintptr_t)member.name))
            continue;
        int r = check_rest_member(check, rules, rules->unevaluated, member);
        if (r != 0)
            return r;
    }
    seen->all = true;
    return 0;
}
