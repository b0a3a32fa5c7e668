#include "page.h"

#include "session_row.h"

/* Beyond it there are no rows, and sums with it are numbers still. */
static const int64_t OFFSET_MAX = INT64_C(1) << 48;

struct page page_of(const struct work *work, int64_t limit_missing) {
    int64_t offset = work_integer(work, "offset", 0);

    return (struct page){.limit = work_integer(work, "limit", limit_missing),
                         .offset = offset < OFFSET_MAX ? offset : OFFSET_MAX};
}

int page_add(struct work *work, struct page *page, json_t *list, json_t *row) {
    size_t bytes = row ? json_dumpb(row, NULL, 0, JSON_COMPACT) : 0;

    if (!row)
        return work->err.code ? -1 : work_no_memory(work);
    if (page->taken == page->limit || (page->taken > 0 && page->bytes + bytes > PAGE_BYTES)) {
        json_decref(row);
        return PAGE_FULL;
    }
    page->taken++;
    page->bytes += bytes;
    return json_array_append_new(list, row) < 0 ? work_no_memory(work) : 0;
}

int page_end(struct work *work, const struct page *page, int r) {
    return r < 0 ? -1 : work_add_more(work, r > 0, page->offset + page->taken);
}
