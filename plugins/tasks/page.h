/*
 * A page of a list: so many rows as were asked for, and no more of them than an answer can carry, whatever stands in
 * them.
 *
 *     struct page page = page_of(work, 100);
 *     while ((r = sql_next(work, rows)) > 0 && (r = page_add(work, &page, list, row_new(rows))) == 0)
 *         ...
 *     return page_end(work, &page, r);
 */
#pragma once

#include "work.h"

enum { PAGE_BYTES = 1 << 20, PAGE_FULL = 1 };

/* What an input schema has for it. */
#define PAGE_INPUT(limit)                                                                                         \
    "\"limit\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000, \"default\": " limit "}, \"offset\": " \
    "{\"type\": \"integer\", \"minimum\": 0, \"default\": 0}"
#define PAGE_OUTPUT "\"has_more\": " BOOLEAN ", \"next_offset\": {\"type\": [\"integer\", \"null\"]}"

struct page {
    int64_t limit, offset; /* the statement is asked for limit + 1 rows */
    int64_t taken;
    size_t bytes;
    bool has_more; /* where somebody else has gone through the rows */
};

struct page page_of(const struct work *work, int64_t limit_missing);
/* 0; PAGE_FULL: `row` is the next page's; -1. Steals `row`; NULL: there was no memory for it, or `err` says why. */
int page_add(struct work *work, struct page *page, json_t *list, json_t *row);
/* "has_more" and "next_offset", after the statement or page_add() has ended with `r`. 0 or -1. */
int page_end(struct work *work, const struct page *page, int r);
