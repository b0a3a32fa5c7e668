#include "ledger/fold.h"

#include "base/log.h"

void fold_init(struct fold *fold, struct journal *journal) {
    *fold = (struct fold){.journal = journal, .index = index_new(journal)};
    fold->cursor.place = place_make(journal->first, 0);
    fold->front = journal->first;
    fold_follow(fold, SIZE_MAX);
    atomic_store(&fold->followed, atomic_load(&journal->appended)); /* what was there before is not counted */
    fold_tended(fold);
}

void fold_fini(struct fold *fold) {
    fold->index = index_free(fold->index);
}

void fold_note_broken(struct fold *fold) {
    if (!fold->broken)
        log_error(
            "the ledger was damaged while the server runs: something has written to memory that is not its own; a "
            "restart puts it right");
    fold->broken = true;
}

static void count_live(struct fold *fold, uint64_t place, bool comes) {
    size_t bytes = format_record_bytes(journal_record(fold->journal, place));
    size_t *live = &fold->live[place_order(place) % EXTENTS_MAX];

    if (!comes && (bytes > *live || !journal_fits(fold->journal, place))) {
        fold_note_broken(fold);
        return;
    }
    *live = comes ? *live + bytes : *live - bytes;
    fold->live_bytes = comes ? fold->live_bytes + bytes : fold->live_bytes - bytes;
}

static void apply(struct fold *fold, const struct format_record *record, uint64_t place) {
    struct span key = format_key(record);
    uint64_t tag = index_tag(key);
    bool drop = (record->flags & RECORD_DROP) != 0;
    uint64_t before = drop ? index_take(fold->index, tag, key) : index_put(fold->index, tag, key, place);

    if (before != 0)
        count_live(fold, before, false);
    if (!drop)
        count_live(fold, place, true);
}

/* The next record; behind what cannot be read there is nothing for this process. */
static const struct format_record *next(struct fold *fold, uint64_t end, uint64_t *ret_place) {
    const struct format_record *record = journal_next(fold->journal, &fold->cursor, end, ret_place);

    if (record || fold->cursor.place >= end)
        return record;
    if (journal_heal(fold->journal, fold->cursor.place))
        record = journal_next(fold->journal, &fold->cursor, end, ret_place);
    if (record || fold->cursor.place >= end)
        return record;
    fold_note_broken(fold);
    fold->cursor = (struct cursor){end, 0};
    return NULL;
}

void fold_follow(struct fold *fold, size_t bytes) {
    uint64_t end = journal_end(fold->journal), place;
    const struct format_record *record;
    size_t done = 0;

    while (done < bytes && fold->cursor.place < end) {
        record = next(fold, end, &place);
        if (!record)
            break;
        apply(fold, record, place);
        done += format_record_bytes(record);
    }
    atomic_store_explicit(&fold->followed, atomic_load_explicit(&fold->followed, memory_order_relaxed) + done,
                          memory_order_relaxed);
}

size_t fold_untended(const struct fold *fold) {
    uint64_t appended = atomic_load_explicit(&fold->journal->appended, memory_order_relaxed);
    uint64_t tended = atomic_load_explicit(&fold->tended, memory_order_relaxed);

    return appended > tended ? appended - tended : 0;
}

void fold_tended(struct fold *fold) {
    atomic_store_explicit(&fold->tended, atomic_load_explicit(&fold->followed, memory_order_relaxed),
                          memory_order_relaxed);
}

size_t fold_backlog(const struct fold *fold) {
    uint64_t appended = atomic_load_explicit(&fold->journal->appended, memory_order_relaxed);
    uint64_t followed = atomic_load_explicit(&fold->followed, memory_order_relaxed);

    return appended > followed ? appended - followed : 0;
}
