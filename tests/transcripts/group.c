#include "group.h"

#include <stdio.h>
#include <stdlib.h>

#include "match.h"
#include "names.h"
#include "wire.h"

void group_init(struct group *group, json_t *names) {
    *group = (struct group){.names = names, .nevers = json_array(), .maybes = json_array(), .number = 1};
}

void group_end(struct group *group) {
    for (size_t i = 0; i < group->count; i++) {
        json_decref(group->items[i].pattern);
        free(group->items[i].text);
    }
    free(group->items);
    group->items = NULL;
    group->count = group->open = 0;
    group->ordered = false;
    group->number++;
}

void group_fini(struct group *group) {
    group_end(group);
    json_decref(group->nevers);
    json_decref(group->maybes);
}

static json_t *pattern_new(const struct group *group, const char *text, struct theseus_error *err) {
    CLEANUP(free) char *expanded = NULL;
    json_error_t problem;

    if (names_expand(group->names, text, &expanded, err) < 0)
        return NULL;
    json_t *pattern = json_loads(expanded, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);
    if (!pattern)
        (void)fail(err, ERR_INVALID, "the expected line is not JSON: %s", problem.text);
    return pattern;
}

/* The pattern of the next repetition. */
static int prepare(struct group *group, struct expectation *item, struct theseus_error *err) {
    CLEANUP(free) char *number = xasprintf("%zu", item->next);

    json_decref(item->pattern);
    item->pattern = NULL;
    if (item->next == item->end) {
        group->open--;
        return 0;
    }
    if (json_object_set_new(group->names, "n", json_string(number)) < 0)
        return fail(err, ERR_MEMORY, "no memory for a name");
    item->pattern = pattern_new(group, item->text, err);
    return item->pattern ? 0 : -1;
}

int group_add(struct group *group, const char *text, size_t times, int line, struct theseus_error *err) {
    group->items = xreallocarray(group->items, group->count + 1, sizeof(struct expectation));
    struct expectation *item = &group->items[group->count++];
    *item = (struct expectation){.text = xstrdup(text), .end = times, .line = line};
    group->open++;
    return prepare(group, item, err);
}

int group_never(struct group *group, const char *text, struct theseus_error *err) {
    json_t *pattern = pattern_new(group, text, err);

    return pattern && json_array_append_new(group->nevers, pattern) == 0 ? 0 : -1;
}

int group_maybe(struct group *group, const char *text, struct theseus_error *err) {
    json_t *pattern = pattern_new(group, text, err);

    return pattern && json_array_append_new(group->maybes, pattern) == 0 ? 0 : -1;
}

static bool matches_any(const struct group *group, const json_t *patterns, const json_t *json) {
    json_t *pattern;
    size_t i;

    json_array_foreach (patterns, i, pattern)
        if (match(pattern, json, group->names))
            return true;
    return false;
}

static struct expectation *find_taker(struct group *group, const json_t *json) {
    for (size_t i = 0; i < group->count; i++) {
        struct expectation *item = &group->items[i];
        if (item->pattern && match(item->pattern, json, group->names))
            return item;
        if (item->pattern && group->ordered)
            return NULL;
    }
    return NULL;
}

static int take(struct group *group, struct arrival *arrival, struct theseus_error *err) {
    if (matches_any(group, group->nevers, arrival->json))
        return fail(err, ERR_INVALID, "this was never to come: %.160s", arrival->text);
    struct expectation *taker = find_taker(group, arrival->json);
    if (taker || matches_any(group, group->maybes, arrival->json))
        (void)arrival_free(arrival);
    if (!taker)
        return 0;
    taker->next++;
    return prepare(group, taker, err);
}

int group_take(struct group *group, struct wire *wire, struct theseus_error *err) {
    bool is_last = group->count == 0; /* nothing more is expected: all that is left is looked at */

    list_for_each (link, &wire->inbox) {
        struct arrival *arrival = list_entry(link, struct arrival, link);
        if (group->open == 0 && !is_last)
            return 0;
        if (arrival->group == group->number)
            continue;
        arrival->group = group->number;
        if (take(group, arrival, err) < 0)
            return -1;
    }
    return 0;
}

void group_print_open(const struct group *group, const char *path) {
    for (size_t i = 0; i < group->count; i++) {
        const struct expectation *item = &group->items[i];
        if (item->pattern)
            printf("    %s:%d: did not come (%zu of %zu): %s\n", path, item->line, item->next, item->end, item->text);
    }
}
