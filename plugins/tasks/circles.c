#include "circles.h"

#include <string.h>

#include "template.h"

enum mark { UNSEEN, ON_THE_PATH, DONE };

struct walk {
    const char *keys[TEMPLATE_TASKS];
    const json_t *tasks[TEMPLATE_TASKS];
    enum mark marks[TEMPLATE_TASKS];
    size_t path[TEMPLATE_TASKS];
    size_t count, depth;
    struct faults *faults;
};

static bool names(const json_t *key, const char *wanted) {
    return json_is_string(key) && strcmp(json_string_value(key), wanted) == 0;
}

static bool waits_for(const struct walk *walk, size_t a, size_t b) {
    const json_t *key;
    size_t i;

    if (names(json_object_get(walk->tasks[b], "parent"), walk->keys[a]))
        return true;
    json_array_foreach (json_object_get(walk->tasks[a], "dependencies"), i, key)
        if (names(key, walk->keys[b]))
            return true;
    return false;
}

static void name_circle(const struct walk *walk, size_t closing) {
    CLEANUP(text_fini) struct text circle = {0};
    size_t i = 0;

    while (walk->path[i] != closing)
        i++;
    for (; i < walk->depth; i++)
        text_print(&circle, "%s waits for ", walk->keys[walk->path[i]]);
    text_print(&circle, "%s", walk->keys[closing]);
    faults_add(walk->faults, "tasks.%s: a cycle, for %s (a task waits for its dependencies, a parent for its children)",
               walk->keys[closing], circle.data ? circle.data : "it waits for itself");
}

/* As deep as there are tasks. */
static void visit(struct walk *walk, size_t at) {
    walk->marks[at] = ON_THE_PATH;
    walk->path[walk->depth++] = at;
    for (size_t next = 0; next < walk->count; next++) {
        if (!waits_for(walk, at, next))
            continue;
        if (walk->marks[next] == ON_THE_PATH)
            name_circle(walk, next);
        else if (walk->marks[next] == UNSEEN)
            visit(walk, next);
    }
    walk->depth--;
    walk->marks[at] = DONE;
}

void circles_check(const json_t *tasks, struct faults *faults) {
    struct walk walk = {.faults = faults};
    const char *key;
    json_t *task;

    json_object_foreach ((json_t *)(uintptr_t)tasks, key, task) {
        walk.keys[walk.count] = key;
        walk.tasks[walk.count++] = task;
    }
    for (size_t i = 0; i < walk.count; i++)
        if (walk.marks[i] == UNSEEN)
            visit(&walk, i);
}
