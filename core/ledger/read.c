/* Reading: what the ledger holds at this moment, while others go on writing. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "ledger/inner.h"

enum {
    COPIED_AT_ONCE = 256 << 10,
    DEAD_BYTES = 16 << 10, /* in the last extent, and in heads and marks: compaction leaves that */
};

size_t ledger_pin(struct ledger *ledger, uint16_t kind, struct item **ret_items, int *ret_pin) {
    (void)pthread_mutex_lock(&ledger->lock);
    fold_follow(&ledger->fold, SIZE_MAX);
    size_t count = index_sorted(ledger->fold.index, kind, ret_items);
    *ret_pin = compact_pin(&ledger->fold);
    (void)pthread_mutex_unlock(&ledger->lock);
    return count;
}

void ledger_unpin(struct ledger *ledger, int pin) {
    (void)pthread_mutex_lock(&ledger->lock);
    compact_unpin(&ledger->fold, pin);
    (void)pthread_mutex_unlock(&ledger->lock);
}

static bool is_sound(struct ledger *ledger, uint64_t place) {
    const struct format_record *record = journal_record(&ledger->journal, place);

    if (journal_fits(&ledger->journal, place) && format_record_check(record) == record->check)
        return true;
    if (!journal_heal(&ledger->journal, place) || format_record_check(record) != record->check)
        return false;
    log_warning("a record of the ledger had been written over, and was taken from its echo");
    return true;
}

/* Decodes into `room`, of the kind's size. */
static void visit_at(struct ledger *ledger, const struct record_kind *kind, uint64_t place, void *room,
                     ledger_visit_fn *visit, void *arg) {
    const struct format_record *record = journal_record(&ledger->journal, place);
    struct theseus_error err = {0};

    if (!is_sound(ledger, place)) {
        log_warning("a damaged %s is left out", kind->name);
        return;
    }
    struct span key = format_key(record);
    key = (struct span){key.data + sizeof(record->kind), key.len - sizeof(record->kind)};
    if (record_decode(kind, key, format_payload(record), room, &err) == 0)
        visit(arg, room);
    else
        log_warning("a %s is left out: %s", kind->name, err.message);
}

void ledger_each(struct ledger *ledger, const struct record_kind *kind, ledger_visit_fn *visit, void *arg) {
    CLEANUP(free) struct item *items = NULL;
    CLEANUP(free) void *room = xcalloc(1, kind->size);
    int pin;
    size_t count = ledger_pin(ledger, kind->number, &items, &pin);

    for (size_t i = 0; i < count; i++)
        visit_at(ledger, kind, items[i].place, room, visit, arg);
    ledger_unpin(ledger, pin);
}

bool ledger_find(struct ledger *ledger, const struct record_kind *kind, const void *record, ledger_visit_fn *visit,
                 void *arg) {
    CLEANUP(batch_fini) struct batch batch = {0};
    CLEANUP(free) void *room = xcalloc(1, kind->size);
    uint64_t place = 0;

    batch_drop(&batch, kind, record); /* which is nothing but a key */
    if (batch.failed)
        return false;
    struct span key = format_key((const void *)(batch.ops.data + batch.ops.start));
    (void)pthread_mutex_lock(&ledger->lock);
    fold_follow(&ledger->fold, SIZE_MAX);
    place = index_get(ledger->fold.index, index_tag(key), key);
    int pin = compact_pin(&ledger->fold);
    (void)pthread_mutex_unlock(&ledger->lock);
    if (place != 0)
        visit_at(ledger, kind, place, room, visit, arg);
    ledger_unpin(ledger, pin);
    return place != 0;
}

void ledger_digest(struct ledger *ledger, uint64_t *ret_digest) {
    CLEANUP(free) struct item *items = NULL;
    int pin;
    size_t count = ledger_pin(ledger, 0, &items, &pin);
    uint64_t digest = 0;

    for (size_t i = 0; i < count; i++)
        if (is_sound(ledger, items[i].place))
            digest = format_body(digest, journal_record(&ledger->journal, items[i].place)->check);
    ledger_unpin(ledger, pin);
    *ret_digest = hash_u64((struct span){(const char *)&digest, sizeof(digest)});
}

static int copy_items(struct ledger *from, const struct item *items, size_t count, struct ledger *to,
                      struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {.reserve = true};

    for (size_t i = 0; i < count; i++) {
        if (is_sound(from, items[i].place))
            batch_carry(&batch, journal_record(&from->journal, items[i].place));
        if (batch.ops.len < COPIED_AT_ONCE && !batch.failed)
            continue;
        if (ledger_commit(to, &batch, err) < 0)
            return -1;
        batch.reserve = true;
    }
    return ledger_commit(to, &batch, err);
}

int ledger_copy(struct ledger *ledger, int *ret_fd, struct theseus_error *err) {
    CLEANUP(ledger_free) struct ledger *copy = NULL;
    CLEANUP(free) struct item *items = NULL;

    if (ledger_create(&copy, -1, err) < 0)
        return error_prefix(err, "cannot copy the ledger: ");
    int pin;
    size_t count = ledger_pin(ledger, 0, &items, &pin);
    int r = copy_items(ledger, items, count, copy, err);
    ledger_unpin(ledger, pin);
    if (r < 0)
        return error_prefix(err, "cannot copy the ledger: ");
    *ret_fd = copy->journal.space.fd;
    copy->journal.space.fd = -1;
    return 0;
}

/* Up to which extent it is worth the work. What comes from here on goes into another one, but not while earlier ones
 * cannot be dropped: then each call would take room and give none back. */
static int begin_compaction(struct ledger *ledger, uint64_t *ret_last, struct theseus_error *err) {
    const struct room room = {.what_for = ROOM_MORE, .grow = true};
    struct journal *journal = &ledger->journal;
    struct fold *fold = &ledger->fold;
    int r = 0;

    *ret_last = 0;
    (void)pthread_mutex_lock(&ledger->lock);
    fold_follow(fold, SIZE_MAX);
    bool worth = compact_dead_bytes(fold) > fold->live_bytes / 8 + DEAD_BYTES || journal_is_damaged(journal);
    gate_enter(&journal->gate);
    if (worth && !fold->grace)
        r = journal_roll_locked(journal, room, err);
    if (worth)
        *ret_last = journal->last;
    gate_leave(&journal->gate);
    (void)pthread_mutex_unlock(&ledger->lock);
    return r;
}

int ledger_compact(struct ledger *ledger, struct theseus_error *err) {
    uint64_t last;
    int r = begin_compaction(ledger, &last, err);

    for (bool more = r == 0; more;) {
        (void)pthread_mutex_lock(&ledger->lock);
        more = compact_step_before(&ledger->fold, last);
        (void)pthread_mutex_unlock(&ledger->lock);
    }
    return r;
}

int ledger_shrink(struct ledger *ledger, struct theseus_error *err) {
    int r = ledger_compact(ledger, err);

    while (space_tend_quiet(&ledger->journal.space))
        ;
    return r;
}
