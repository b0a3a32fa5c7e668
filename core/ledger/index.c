#include "ledger/index.h"

#include <stdlib.h>

#include "base/hash.h"
#include "ledger/order.h"

enum { TABLES = 256, FIRST_CAPACITY = 8 };

/* Open addressing; the entry that is looked for lies at its place or just behind it, without a hole between. */
struct table {
    struct index_entry *slots; /* owned */
    size_t capacity, count;    /* capacity: a power of two */
};

struct index {
    struct journal *journal;
    size_t count;
    struct table tables[TABLES];
};

struct index *index_new(struct journal *journal) {
    struct index *index = xcalloc(1, sizeof(*index));

    index->journal = journal;
    return index;
}

struct index *index_free(struct index *index) {
    if (!index)
        return NULL;
    for (size_t i = 0; i < TABLES; i++)
        free(index->tables[i].slots);
    free(index);
    return NULL;
}

uint64_t index_tag(struct span key) {
    uint16_t kind = (uint16_t)((uint8_t)key.data[0] << 8 | (uint8_t)key.data[1]);

    return (hash_u64(key) & ~(uint64_t)UINT16_MAX) | kind;
}

static struct table *table_of(const struct index *index, uint64_t tag) {
    return (struct table *)&index->tables[tag >> 56];
}

static size_t home_of(const struct table *table, uint64_t tag) {
    return (tag >> 16) & (table->capacity - 1);
}

static size_t behind(const struct table *table, size_t slot) {
    return (slot + 1) & (table->capacity - 1);
}

/* The slot where the key is, or the empty one where it would be. */
static size_t find(const struct index *index, const struct table *table, uint64_t tag, struct span key) {
    size_t slot = home_of(table, tag);

    for (; table->slots[slot].place != 0; slot = behind(table, slot))
        if (table->slots[slot].tag == tag &&
            span_same(format_key(journal_record(index->journal, table->slots[slot].place)), key))
            break;
    return slot;
}

static void grow(struct table *table) {
    struct table larger = {.capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY, .count = table->count};

    larger.slots = xcalloc(larger.capacity, sizeof(*larger.slots));
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].place == 0)
            continue;
        size_t slot = home_of(&larger, table->slots[i].tag);
        while (larger.slots[slot].place != 0)
            slot = behind(&larger, slot);
        larger.slots[slot] = table->slots[i];
    }
    free(table->slots);
    *table = larger;
}

uint64_t index_put(struct index *index, uint64_t tag, struct span key, uint64_t place) {
    struct table *table = table_of(index, tag);

    if (table->count + 1 > table->capacity / 4 * 3)
        grow(table);
    struct index_entry *entry = &table->slots[find(index, table, tag, key)];
    uint64_t before = entry->place;
    *entry = (struct index_entry){tag, place};
    if (before == 0) {
        table->count++;
        index->count++;
    }
    return before;
}

/* Closes the hole: what lies behind it and belongs before it moves up. */
static void close_hole(struct table *table, size_t hole) {
    size_t mask = table->capacity - 1;

    for (size_t slot = behind(table, hole); table->slots[slot].place != 0; slot = behind(table, slot)) {
        size_t home = home_of(table, table->slots[slot].tag);
        if (((slot - home) & mask) < ((slot - hole) & mask))
            continue;
        table->slots[hole] = table->slots[slot];
        hole = slot;
    }
    table->slots[hole] = (struct index_entry){0, 0};
}

uint64_t index_take(struct index *index, uint64_t tag, struct span key) {
    struct table *table = table_of(index, tag);

    if (table->count == 0)
        return 0;
    size_t slot = find(index, table, tag, key);
    uint64_t place = table->slots[slot].place;
    if (place == 0)
        return 0;
    close_hole(table, slot);
    table->count--;
    index->count--;
    return place;
}

uint64_t index_get(const struct index *index, uint64_t tag, struct span key) {
    const struct table *table = table_of(index, tag);

    return table->count ? table->slots[find(index, table, tag, key)].place : 0;
}

size_t index_count(const struct index *index) {
    return index->count;
}

/* The places of every record of the kind. */
static size_t collect(const struct index *index, uint16_t kind, uint64_t *places) {
    size_t count = 0;

    for (size_t i = 0; i < TABLES; i++) {
        const struct table *table = &index->tables[i];
        for (size_t slot = 0; slot < table->capacity; slot++) {
            const struct index_entry *entry = &table->slots[slot];
            if (entry->place != 0 && (kind == 0 || (entry->tag & UINT16_MAX) == kind))
                places[count++] = entry->place;
        }
    }
    return count;
}

/* A key that was damaged when it was folded, and is not any more, is there twice. */
static size_t drop_older(struct item *items, size_t count) {
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        bool again = kept > 0 && span_same(items[kept - 1].key, items[i].key);
        if (!again)
            items[kept++] = items[i];
        else if (items[i].place > items[kept - 1].place)
            items[kept - 1] = items[i];
    }
    return kept;
}

size_t index_sorted(const struct index *index, uint16_t kind, struct item **ret_items) {
    CLEANUP(free) uint64_t *places = xreallocarray(NULL, index->count, sizeof(*places));
    size_t count = collect(index, kind, places);
    struct item *items = xreallocarray(NULL, count, sizeof(*items));

    order_numbers(places, count); /* so that memory is gone through from its beginning to its end */
    size_t readable = 0;
    for (size_t i = 0; i < count; i++)
        if (journal_fits(index->journal, places[i]) || journal_heal(index->journal, places[i]))
            items[readable++] = (struct item){format_key(journal_record(index->journal, places[i])), places[i]};
    order_items(items, readable);
    *ret_items = items;
    return drop_older(items, readable);
}
