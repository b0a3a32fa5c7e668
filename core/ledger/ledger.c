#include "ledger/inner.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "ledger/memfd.h"
#include "ledger/mend.h"

static struct ledger *ledger_alloc(void) {
    struct ledger *ledger = xcalloc(1, sizeof(*ledger));

    (void)pthread_mutex_init(&ledger->lock, NULL);
    ledger->journal.space.fd = -1;
    return ledger;
}

struct ledger *ledger_free(struct ledger *ledger) {
    if (!ledger)
        return NULL;
    fold_fini(&ledger->fold);
    journal_close(&ledger->journal);
    (void)pthread_mutex_destroy(&ledger->lock);
    free(ledger);
    return NULL;
}

int ledger_create(struct ledger **ret_ledger, int fd, struct theseus_error *err) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_alloc();
    CLEANUP(fd_close) int own = -1;

    if (fd < 0 && memfd_new("theseus-ledger", &own, err) < 0)
        return -1;
    if (journal_create(&ledger->journal, fd < 0 ? own : fd, err) < 0)
        return -1;
    (void)fd_take(&own);
    fold_init(&ledger->fold, &ledger->journal);
    *ret_ledger = TAKE_PTR(ledger);
    return 0;
}

int ledger_create_damaged(struct ledger **ret_ledger, int fd, struct theseus_error *err) {
    if (ledger_create(ret_ledger, fd, err) < 0)
        return -1;
    (*ret_ledger)->journal.damaged = (*ret_ledger)->journal.lost = 1;
    return 0;
}

static void tell_damage(const struct journal *journal) {
    if (journal->mended > 0)
        log_warning(
            "the ledger was damaged: %zu batches of records had been written over, and were taken from their echo",
            journal->mended);
    if (journal->damaged > 0)
        log_error(
            "the ledger is damaged: in %zu batches of records, or more, something cannot be read; %zu records, or "
            "more, are lost",
            journal->damaged, journal->lost);
}

int ledger_open(struct ledger **ret_ledger, int fd, struct theseus_error *err) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_alloc();

    if (journal_open(&ledger->journal, fd, err) < 0)
        return -1;
    tell_damage(&ledger->journal);
    fold_init(&ledger->fold, &ledger->journal);
    for (size_t i = 0; i < ledger->journal.doubt_count; i++)
        mend_place_output(&ledger->journal, &ledger->journal.doubts[i]);
    while (atomic_load(&ledger->journal.space.unsealed))
        space_tend(&ledger->journal.space);
    *ret_ledger = TAKE_PTR(ledger);
    return 0;
}

struct ledger *ledger_new(void) {
    struct ledger *ledger = NULL;
    struct theseus_error err = {0};

    if (ledger_create(&ledger, -1, &err) == 0)
        return ledger;
    (void)fprintf(stderr, "theseus: %s\n", err.message);
    abort();
}

int ledger_fd(const struct ledger *ledger) {
    return ledger->journal.space.fd;
}

void *ledger_scratch(const struct ledger *ledger, size_t *ret_size) {
    *ret_size = sizeof(ledger->journal.head->scratch);
    return ledger->journal.head->scratch;
}

void ledger_set_bound(struct ledger *ledger, size_t bytes) {
    space_set_bound(&ledger->journal.space, bytes / SEGMENT_BYTES);
}

void ledger_guard(struct ledger *ledger, bool guarded) {
    space_guard(&ledger->journal.space, guarded);
}

void ledger_be_lean(struct ledger *ledger, bool lean) {
    atomic_store(&ledger->journal.space.lean, lean);
}

void ledger_enter(struct ledger *ledger) {
    space_tend(&ledger->journal.space);
    gate_enter(&ledger->journal.gate);
}

void ledger_leave(struct ledger *ledger) {
    gate_leave(&ledger->journal.gate);
    ledger_tend(ledger);
}

void ledger_gate_give_up(struct ledger *ledger) {
    gate_give_up(&ledger->journal.gate);
}

int ledger_gate_take_for_exec(struct ledger *ledger, int timeout_ms) {
    return gate_take_for_exec(&ledger->journal.gate, timeout_ms);
}

bool ledger_gate_is_own(const struct ledger *ledger) {
    return gate_is_own(&ledger->journal.gate);
}

void ledger_gate_give_back(struct ledger *ledger, int taken) {
    gate_give_back(&ledger->journal.gate, taken);
}

size_t ledger_damaged(const struct ledger *ledger) {
    return ledger->journal.damaged;
}

size_t ledger_lost(const struct ledger *ledger) {
    return ledger->journal.lost;
}

size_t ledger_mended(const struct ledger *ledger) {
    return ledger->journal.mended;
}

void ledger_each_doubt(const struct ledger *ledger, ledger_doubt_fn *visit, void *arg) {
    for (size_t i = 0; i < ledger->journal.doubt_count; i++)
        visit(arg, &ledger->journal.doubts[i]);
}

size_t ledger_count(struct ledger *ledger) {
    return ledger_stats(ledger).records;
}

struct ledger_stats ledger_stats(struct ledger *ledger) {
    struct journal *journal = &ledger->journal;
    struct ledger_stats stats;

    (void)pthread_mutex_lock(&ledger->lock);
    fold_follow(&ledger->fold, SIZE_MAX);
    stats.records = index_count(ledger->fold.index);
    stats.live_bytes = ledger->fold.live_bytes;
    stats.compactions = ledger->fold.compactions;
    gate_enter(&journal->gate);
    stats.used_bytes = journal->segments * SEGMENT_BYTES;
    stats.commits = journal->batches;
    gate_leave(&journal->gate);
    (void)pthread_mutex_unlock(&ledger->lock);
    return stats;
}
