/* Committing, and what comes of it: following the journal, and giving back what is dead, in small steps. */
#include <pthread.h>

#include "ledger/inner.h"

enum {
    STEP_BYTES = 64 << 10,      /* behind by so much, somebody follows … */
    CATCH_UP_BYTES = 1 << 20,   /* … behind by so much, everybody helps, and waits for the one who does */
    DETACHED_BYTES = 256 << 10, /* a batch of this size is copied before the gate is taken */
    RELIEF_STEPS = 64,          /* of compaction, before a commit is refused for want of room */
};

/* Of all threads that find it so, one tells. */
static void tell_touched(struct ledger *ledger) {
    int touched = WATCH_TOUCHED;

    if (atomic_compare_exchange_strong(&ledger->watch, &touched, WATCH_NONE))
        ledger->touched(ledger->touched_arg);
}

void ledger_watch(struct ledger *ledger, ledger_touched_fn *touched, void *arg) {
    atomic_store(&ledger->watch, WATCH_NONE);
    ledger->touched = touched;
    ledger->touched_arg = arg;
    atomic_store(&ledger->watch, touched ? WATCH_ARMED : WATCH_NONE);
}

void ledger_tend(struct ledger *ledger) {
    size_t backlog = fold_backlog(&ledger->fold);

    if (atomic_load_explicit(&ledger->watch, memory_order_relaxed) == WATCH_TOUCHED)
        tell_touched(ledger);
    space_tend(&ledger->journal.space);
    if (fold_untended(&ledger->fold) < STEP_BYTES && !atomic_load_explicit(&ledger->fold.dirty, memory_order_relaxed))
        return; /* readers follow, too, and leave nothing to be followed, but all to be compacted */
    if (backlog >= CATCH_UP_BYTES)
        (void)pthread_mutex_lock(&ledger->lock);
    else if (pthread_mutex_trylock(&ledger->lock) != 0)
        return;
    fold_follow(&ledger->fold, 4 * STEP_BYTES);
    atomic_store_explicit(&ledger->fold.dirty, compact_step(&ledger->fold), memory_order_relaxed);
    fold_tended(&ledger->fold);
    (void)pthread_mutex_unlock(&ledger->lock);
}

static enum room_for what_for(const struct batch *batch) {
    return !batch->puts ? ROOM_NOTHING : batch->reserve ? ROOM_ANSWER : ROOM_WORK;
}

static int append(struct ledger *ledger, const struct batch *batch, struct room room, struct theseus_error *err) {
    char *to = journal_room_locked(&ledger->journal, batch->ops.len, room, err);

    if (!to)
        return -1;
    memcpy(to, batch->ops.data + batch->ops.start, batch->ops.len);
    journal_publish_locked(&ledger->journal, batch->ops.len, batch->count, batch->body);
    return 0;
}

int ledger_commit_locked(struct ledger *ledger, struct batch *batch, struct theseus_error *err) {
    const struct room room = {.what_for = what_for(batch), .grow = true};
    int r = 0;

    if (batch->failed)
        r = fail(err, ERR_MEMORY, "no memory for a batch of records");
    else if (batch->count > 0)
        r = append(ledger, batch, room, err);
    if (r == 0)
        ledger_note(ledger, batch);
    batch_clear(batch);
    return r;
}

static int commit_large(struct ledger *ledger, const struct batch *batch, struct theseus_error *err) {
    struct journal *journal = &ledger->journal;
    struct detached detached = {0};

    char *to = journal_detach(journal, batch->ops.len, what_for(batch), &detached, err);
    if (!to)
        return -1;
    memcpy(to, batch->ops.data + batch->ops.start, batch->ops.len);
    gate_enter(&journal->gate);
    journal_link_locked(journal, &detached, batch->ops.len, batch->count, batch->body);
    gate_leave(&journal->gate);
    return 0;
}

/* One that needs no system call, mostly; else the memory is asked for outside of the gate. */
static int commit_small(struct ledger *ledger, const struct batch *batch, struct theseus_error *err) {
    const struct room ready = {.what_for = what_for(batch), .grow = false};

    gate_enter(&ledger->journal.gate);
    int r = append(ledger, batch, ready, NULL);
    gate_leave(&ledger->journal.gate);
    return r == 0 ? 0 : commit_large(ledger, batch, err);
}

static int commit_once(struct ledger *ledger, const struct batch *batch, struct theseus_error *err) {
    return batch->ops.len >= DETACHED_BYTES ? commit_large(ledger, batch, err) : commit_small(ledger, batch, err);
}

/* Makes room by compaction, as far as that goes quickly. */
static void relieve(struct ledger *ledger) {
    (void)pthread_mutex_lock(&ledger->lock);
    fold_follow(&ledger->fold, SIZE_MAX);
    for (int i = 0; i < RELIEF_STEPS && compact_step(&ledger->fold); i++)
        ;
    (void)pthread_mutex_unlock(&ledger->lock);
}

static int commit(struct ledger *ledger, const struct batch *batch, struct theseus_error *err) {
    if (batch->failed)
        return fail(err, ERR_MEMORY, "no memory for a batch of records");
    if (batch->count == 0)
        return 0;
    if (commit_once(ledger, batch, NULL) == 0)
        return 0;
    relieve(ledger);
    return commit_once(ledger, batch, err);
}

int ledger_commit(struct ledger *ledger, struct batch *batch, struct theseus_error *err) {
    int r = commit(ledger, batch, err);

    if (r == 0)
        ledger_note(ledger, batch);
    batch_clear(batch);
    ledger_tend(ledger);
    return r;
}

int ledger_put(struct ledger *ledger, const struct record_kind *kind, const void *record, struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {0};

    batch_put(&batch, kind, record);
    return ledger_commit(ledger, &batch, err);
}

int ledger_drop(struct ledger *ledger, const struct record_kind *kind, const void *record, struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {0};

    batch_drop(&batch, kind, record);
    return ledger_commit(ledger, &batch, err);
}
