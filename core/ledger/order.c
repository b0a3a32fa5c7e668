/*
 * Radix sort from the front: records are dealt into piles by the first byte in which their keys differ, then each pile
 * by the next one. Most keys have long beginnings in common; those are found by comparing, and skipped. What comes in
 * the order of the log is mostly in order already, or is when it has been dealt once: a pile in order is left alone.
 */
#include "ledger/order.h"

#include <stdlib.h>

enum {
    SMALL = 24,
    DIGIT_BITS = 10,
    DIGIT_MASK = (1 << DIGIT_BITS) - 1,
    PILES = 257, /* one for the keys that end here */
    LEVELS = 32, /* of piles in piles; only keys that begin with each other need more, and are compared then */
};

static size_t common(struct span a, struct span b, size_t from) {
    size_t shorter = a.len < b.len ? a.len : b.len;

    while (from < shorter && a.data[from] == b.data[from])
        from++;
    return from;
}

static int compare(struct span a, struct span b) {
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_items(const void *a, const void *b) {
    return compare(((const struct item *)a)->key, ((const struct item *)b)->key);
}

static void insert(struct item *items, size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct item item = items[i];
        size_t at = i;
        for (; at > 0 && compare(items[at - 1].key, item.key) > 0; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

static bool is_ordered(const struct item *items, size_t count) {
    for (size_t i = 1; i < count; i++)
        if (compare(items[i - 1].key, items[i].key) > 0)
            return false;
    return true;
}

static size_t pile_of(const struct item *item, size_t depth) {
    return depth < item->key.len ? 1u + (uint8_t)item->key.data[depth] : 0;
}

/* Deals the items into piles by the byte at `depth`; ends[] says where each pile ends. */
static void deal(struct item *items, struct item *room, size_t count, size_t depth, size_t ends[static PILES]) {
    memset(ends, 0, PILES * sizeof(*ends));
    for (size_t i = 0; i < count; i++)
        ends[pile_of(&items[i], depth)]++;
    for (size_t pile = 0, sum = 0; pile < PILES; pile++) {
        size_t here = ends[pile];
        ends[pile] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++)
        room[ends[pile_of(&items[i], depth)]++] = items[i];
    memcpy(items, room, count * sizeof(*items));
}

static void sort(struct item *items, struct item *room, size_t count, size_t depth, int level) {
    size_t ends[PILES], shared = SIZE_MAX;

    if (count <= SMALL) {
        insert(items, count);
        return;
    }
    if (level == LEVELS) {
        qsort(items, count, sizeof(*items), compare_items);
        return;
    }
    if (is_ordered(items, count))
        return;
    for (size_t i = 1; i < count && shared > depth; i++) {
        size_t length = common(items[0].key, items[i].key, depth);
        shared = length < shared ? length : shared;
    }
    deal(items, room, count, shared, ends);
    for (size_t pile = 1, from = ends[0]; pile < PILES; from = ends[pile++])
        if (ends[pile] > from + 1)
            sort(items + from, room + from, ends[pile] - from, shared + 1, level + 1);
}

void order_items(struct item *items, size_t count) {
    if (count < 2)
        return;
    if (count <= SMALL) {
        insert(items, count);
        return;
    }
    CLEANUP(free) struct item *room = xreallocarray(NULL, count, sizeof(*room));
    sort(items, room, count, 0, 0);
}

/* By the digit of `DIGIT_BITS` bits at `shift`; what is equal in it stays in its order. */
static void deal_numbers(const uint64_t *numbers, uint64_t *room, size_t count, int shift) {
    size_t starts[1 << DIGIT_BITS] = {0};

    for (size_t i = 0; i < count; i++)
        starts[numbers[i] >> shift & DIGIT_MASK]++;
    for (size_t digit = 0, sum = 0; digit <= DIGIT_MASK; digit++) {
        size_t here = starts[digit];
        starts[digit] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++)
        room[starts[numbers[i] >> shift & DIGIT_MASK]++] = numbers[i];
}

void order_numbers(uint64_t *numbers, size_t count) {
    CLEANUP(free) uint64_t *room = xreallocarray(NULL, count, sizeof(*room));
    uint64_t different = 0;

    for (size_t i = 1; i < count; i++)
        different |= numbers[i] ^ numbers[0];
    for (int shift = 0; shift < 64; shift += DIGIT_BITS) {
        if ((different >> shift & DIGIT_MASK) == 0)
            continue;
        deal_numbers(numbers, room, count, shift);
        memcpy(numbers, room, count * sizeof(*numbers));
    }
}
