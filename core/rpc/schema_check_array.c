/* The rules of arrays. */
#include "rpc/schema_check.h"
#include "rpc/schema_value.h"

enum { ITEMS_PER_STEP = 16 };

static int check_item(struct check *check, const struct node *node, const json_t *array, size_t index) {
    struct place place = {.up = check->place, .index = index};

    return check_child(check, node, json_array_get(array, index), &place);
}

static int check_items(struct check *check, const struct array_rules *rules, const json_t *value, struct seen *seen) {
    size_t count = json_array_size(value);
    size_t in_prefix = rules->prefix.count < count ? rules->prefix.count : count;
    int r = 0;

    for (size_t i = 0; i < in_prefix && r == 0; i++)
        r = check_item(check, rules->prefix.nodes[i], value, i);
    seen_add_first(seen, in_prefix);
    if (r != 0 || !rules->items)
        return r;
    for (size_t i = in_prefix; i < count && r == 0 && rules->items->parts != 0; i++)
        r = check_item(check, rules->items, value, i);
    seen_add_first(seen, count);
    return r;
}

/* As many items as decide it, or all of them where somebody asks which they were. */
static int check_contains(struct check *check, const struct array_rules *rules, const json_t *value,
                          struct seen *seen) {
    size_t matches = 0;
    bool bounded = rules->max_contains < SIZE_MAX;

    for (size_t i = 0; i < json_array_size(value) && (seen || bounded || matches < rules->min_contains); i++) {
        check->quiet++;
        int r = check_item(check, rules->contains, value, i);
        check->quiet--;
        if (r < 0)
            return r;
        if (r != 0)
            continue;
        matches++;
        if (seen_add(seen, i) < 0)
            return check_no_memory(check);
    }
    if (matches < rules->min_contains)
        return check_mismatch(check, RANK_DETAIL, "must have at least %zu item%s as 'contains' says, has %zu",
                              rules->min_contains, rules->min_contains == 1 ? "" : "s", matches);
    if (matches > rules->max_contains)
        return check_mismatch(check, RANK_DETAIL, "must have at most %zu item%s as 'contains' says, has %zu",
                              rules->max_contains, rules->max_contains == 1 ? "" : "s", matches);
    return 0;
}

static int check_unique(struct check *check, const json_t *value) {
    size_t pair[2];
    int r = value_unique(value, &check->effort, pair);

    if (r < 0)
        return check_no_memory(check);
    if (r == VALUE_TWICE)
        return check_mismatch(check, RANK_DETAIL, "must have no item twice, but items %zu and %zu are equal", pair[0],
                              pair[1]);
    return 0;
}

int check_array(struct check *check, const struct array_rules *rules, const json_t *value, struct seen *seen) {
    size_t count = json_array_size(value);

    if (!check_may_go_on(check, count / ITEMS_PER_STEP))
        return check_stop(check);
    if (count < rules->min)
        return check_mismatch(check, RANK_DETAIL, "must have at least %zu item%s, has %zu", rules->min,
                              rules->min == 1 ? "" : "s", count);
    if (count > rules->max)
        return check_mismatch(check, RANK_DETAIL, "must have at most %zu item%s, has %zu", rules->max,
                              rules->max == 1 ? "" : "s", count);
    int r = check_items(check, rules, value, seen);
    if (r == 0 && rules->contains)
        r = check_contains(check, rules, value, seen);
    if (r == 0 && rules->unique)
        r = check_unique(check, value);
    return r;
}

int check_unevaluated_items(struct check *check, const struct node *node, const json_t *value, struct seen *seen) {
    if (seen->all)
        return 0;
    if (!check_may_go_on(check, seen->count - seen->start))
        return check_stop(check);
    seen_sort(seen);
    for (size_t i = seen->first_items; i < json_array_size(value); i++) {
        if (seen_has(seen, i))
            continue;
        int r = check_item(check, node, value, i);
        if (r != 0)
            return r;
    }
    seen->all = true;
    return 0;
}
