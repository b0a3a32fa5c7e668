#include "base/map.h"

#include <stdlib.h>

#include "base/hash.h"

#define HASH_FUNCTION(key, len, hash) ((hash) = (unsigned)hash_u64((struct span){(const char *)(key), (len)}))
#define uthash_fatal(message) abort() /* as everywhere for sizes that we choose */
#include <uthash.h>

struct entry {
    UT_hash_handle hh;
    void *value;
    size_t len;
    char key[];
};

struct map {
    struct entry *entries; /* owned */
};

struct map *map_new(void) {
    return xcalloc(1, sizeof(struct map));
}

static struct entry *find(const struct map *map, struct span key) {
    struct entry *entry = NULL;

    HASH_FIND(hh, map->entries, key.data, key.len, entry);
    return entry;
}

void *map_put(struct map *map, struct span key, void *value) {
    struct entry *entry = find(map, key);

    if (entry) {
        void *before = entry->value;
        entry->value = value;
        return before;
    }
    entry = xcalloc(1, sizeof(*entry) + key.len);
    entry->value = value;
    entry->len = key.len;
    if (key.len)
        memcpy(entry->key, key.data, key.len);
    HASH_ADD_KEYPTR(hh, map->entries, entry->key, entry->len, entry);
    return NULL;
}

void *map_get(const struct map *map, struct span key) {
    const struct entry *entry = find(map, key);

    return entry ? entry->value : NULL;
}

void *map_take(struct map *map, struct span key) {
    struct entry *entry = find(map, key);

    if (!entry)
        return NULL;
    void *value = entry->value;
    HASH_DEL(map->entries, entry);
    free(entry);
    return value;
}

size_t map_count(const struct map *map) {
    return HASH_COUNT(map->entries);
}

void map_each(const struct map *map, map_visit_fn *visit, void *arg) {
    struct entry *entry, *next;

    HASH_ITER (hh, map->entries, entry, next)
        visit((struct span){entry->key, entry->len}, entry->value, arg);
}

struct map *map_free(struct map *map) {
    struct entry *entry, *next;

    if (!map)
        return NULL;
    HASH_ITER (hh, map->entries, entry, next) {
        HASH_DEL(map->entries, entry);
        free(entry);
    }
    free(map);
    return NULL;
}
