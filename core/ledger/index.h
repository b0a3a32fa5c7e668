/*
 * The index: for each key the place of its live record. It lies in this process's memory only and is made again from
 * the journal. Many small tables, so that none takes long to grow. Not safe between threads by itself.
 */
#pragma once

#include "ledger/journal.h"

struct index;

struct index_entry {
    uint64_t tag;   /* of the key: index_tag() */
    uint64_t place; /* 0: nothing here */
};

struct index *index_new(struct journal *journal);
struct index *index_free(struct index *index);

/* Most of the full key's hash, and in the lowest 16 bits its kind. */
uint64_t index_tag(struct span key);

/* The place that was there before; 0: there was none. */
uint64_t index_put(struct index *index, uint64_t tag, struct span key, uint64_t place);
uint64_t index_take(struct index *index, uint64_t tag, struct span key);
uint64_t index_get(const struct index *index, uint64_t tag, struct span key);

size_t index_count(const struct index *index);

/* A record in the order of things, for sorting. */
struct item {
    struct span key; /* full, in the journal */
    uint64_t place;
};

/* Every record, or only those of a kind (0: all), in the order of their keys; not one whose length is damaged. The
 * array is the caller's. Outside the gate. */
size_t index_sorted(const struct index *index, uint16_t kind, struct item **ret_items);

DEFINE_CLEANUP(struct index *, index_free)
