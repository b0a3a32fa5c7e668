/*
 * A hash table from bytes to pointers (uthash behind a narrow door). Keys are copied; values are borrowed: whoever owns
 * the map frees them. Not safe between threads by itself.
 */
#pragma once

#include <stddef.h>

#include "base/mem.h"
#include "base/span.h"

struct map;

struct map *map_new(void);
struct map *map_free(struct map *map);

/* Returns the value that was replaced, NULL if there was none. `value` is not NULL. */
void *map_put(struct map *map, struct span key, void *value);
void *map_get(const struct map *map, struct span key); /* NULL: not there */
void *map_take(struct map *map, struct span key);      /* removes it; NULL: was not there */
size_t map_count(const struct map *map);

/* Visits every entry in the order of insertion. The visited entry may be taken out, no other may be touched. */
typedef void map_visit_fn(struct span key, void *value, void *arg);
void map_each(const struct map *map, map_visit_fn *visit, void *arg);

DEFINE_CLEANUP(struct map *, map_free)
