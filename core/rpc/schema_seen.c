#include "rpc/schema_seen.h"

#include <stdlib.h>

#include "base/mem.h"

enum { FIRST_CAPACITY = 16 };

void seen_fini(struct seen *seen) {
    free(seen->marks);
    *seen = (struct seen){0};
}

struct seen_state seen_state(const struct seen *seen) {
    return (struct seen_state){seen->count, seen->start, seen->first_items, seen->all};
}

void seen_rewind(struct seen *seen, struct seen_state state) {
    seen->count = state.count;
    seen->start = state.start;
    seen->first_items = state.first_items;
    seen->all = state.all;
}

struct seen_state seen_begin(struct seen *seen) {
    struct seen_state before = seen_state(seen);

    seen->start = seen->count;
    seen->first_items = 0;
    seen->all = false;
    return before;
}

void seen_end(struct seen *seen, struct seen_state before) {
    seen->start = before.start;
    if (before.first_items > seen->first_items)
        seen->first_items = before.first_items;
    seen->all = seen->all || before.all;
}

int seen_add(struct seen *seen, uintptr_t mark) {
    if (!seen)
        return 0;
    if (seen->count == seen->capacity) {
        size_t capacity = seen->capacity ? 2 * seen->capacity : FIRST_CAPACITY;
        uintptr_t *marks = try_realloc(seen->marks, capacity * sizeof(*marks));
        if (!marks)
            return -1;
        seen->marks = marks;
        seen->capacity = capacity;
    }
    seen->marks[seen->count++] = mark;
    return 0;
}

void seen_add_first(struct seen *seen, size_t items) {
    if (seen && items > seen->first_items)
        seen->first_items = items;
}

static int compare(const void *a, const void *b) {
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;

    return left < right ? -1 : left > right;
}

void seen_sort(struct seen *seen) {
    if (seen->count > seen->start)
        qsort(seen->marks + seen->start, seen->count - seen->start, sizeof(*seen->marks), compare);
}

bool seen_has(const struct seen *seen, uintptr_t mark) {
    size_t count = seen->count - seen->start;

    return count > 0 && bsearch(&mark, seen->marks + seen->start, count, sizeof(mark), compare) != NULL;
}
