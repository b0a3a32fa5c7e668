#include "call/keep.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "call/proc.h"
#include "rpc/jsontext.h"

/* Inner calls are numbered above every index that a batch can have. */
enum { INNER_INDEX_SHIFT = 32 };

static void warn_unrecorded(const char *what, const struct theseus_error *err) {
    log_error("%s could not be recorded and would be lost in a restart: %s", what, err->message);
}

static struct run_record run_of(const struct call *call, uint64_t index) {
    return (struct run_record){.conn = call->key.conn,
                               .offset = call->key.offset,
                               .index = index,
                               .attempts = call->attempts + 1,
                               .crashes = call->crashes,
                               .counted = call->crashes_counted};
}

/* Puts a record that only an open call has. One that is over has dropped its records, under the same gate: no record of
 * it can stay behind. */
static int put_while_open(struct call *call, const struct record_kind *kind, const void *record,
                          struct theseus_error *err) {
    /* What has begun must not look as if it had not: for that there is room where there is none for new work. */
    CLEANUP(batch_fini) struct batch batch = {.reserve = kind == &run_kind};

    batch_put(&batch, kind, record);
    ledger_enter(call->ledger);
    int r = call_is_over(call) ? 0 : ledger_commit_locked(call->ledger, &batch, err);
    ledger_leave(call->ledger);
    return r;
}

bool keep_entered(struct call *call) {
    struct run_record record = run_of(call, call->key.index);
    struct theseus_error err = {0};
    int entry = ENTRY_FREE;

    if (!atomic_compare_exchange_strong(&call->entry, &entry, ENTRY_TAKEN) && entry == ENTRY_BARRED)
        return false;
    if (put_while_open(call, &run_kind, &record, &err) == 0)
        return true;
    error_prefix(&err, "the call was never begun, because that could not be recorded: ");
    log_error("%s", err.message);
    call_fail(call, &err, NULL);
    return false;
}

void keep_later(struct call *call, const char *plugin, bool structured) {
    struct run_record record = run_of(call, call->key.index);
    struct theseus_error err = {0};

    record.later = structured ? RUN_LATER_STRUCTURED : RUN_LATER;
    record.plugin = span_of(plugin);
    if (put_while_open(call, &run_kind, &record, &err) < 0)
        warn_unrecorded("that a call is answered later", &err);
}

bool keep_bar(struct call *call) {
    int entry = ENTRY_FREE;

    return call->attempts == 0 && atomic_compare_exchange_strong(&call->entry, &entry, ENTRY_BARRED);
}

uint64_t keep_inner_entered(struct call *call) {
    uint64_t number = atomic_fetch_add(&call->inner_calls, 1) + 1;
    struct run_record record = run_of(call, call->key.index | number << INNER_INDEX_SHIFT);
    struct theseus_error err = {0};

    if (put_while_open(call, &run_kind, &record, &err) < 0)
        warn_unrecorded("an inner call", &err);
    return record.index;
}

bool keep_is_inner(uint64_t index) {
    return index >> INNER_INDEX_SHIFT != 0;
}

void keep_inner_left(struct call *call, uint64_t index) {
    struct run_record record = run_of(call, index);
    struct theseus_error err = {0};

    (void)atomic_fetch_add(&call->inner_ended, 1);
    if (ledger_drop(call->ledger, &run_kind, &record, &err) < 0)
        warn_unrecorded("the end of an inner call", &err);
}

/* Behind the record: whoever sets the journal reads that afterwards. Also when the call is over: its handler is still
 * at work, and may be gone on with elsewhere. */
static int tell_journal(struct call *call, const struct checkpoint_record *record, struct theseus_error *err) {
    struct call_journal *journal = atomic_load(&call->journal);

    return journal ? journal->checkpoint(journal, record->state, record->inner, err) : 0;
}

int keep_checkpoint(struct call *call, json_t *state, struct theseus_error *err) {
    json_auto_t *owned = state;
    CLEANUP(buf_fini) struct buf text = {0};

    if (jsontext_write(owned, &text, err) < 0)
        return -1;
    if (text.len > LIMIT_STATE_VALUE)
        return fail(err, ERR_LIMIT, "a checkpoint of %zu bytes is longer than %d", text.len, LIMIT_STATE_VALUE);
    struct checkpoint_record record = {call->key.conn, call->key.offset, call->key.index, buf_span(&text),
                                       atomic_load(&call->inner_ended)};
    if (put_while_open(call, &checkpoint_kind, &record, err) < 0)
        return -1;
    atomic_store(&call->has_checkpoint, true);
    return tell_journal(call, &record, err);
}

int keep_child(struct call *call, long pid, struct theseus_error *err) {
    struct child_record record = {(uint64_t)pid, 0, call->key.conn, call->key.offset, call->key.index};

    if (proc_start_time(pid, &record.start_time, err) < 0)
        return -1;
    return ledger_put(call->ledger, &child_kind, &record, err);
}

void keep_child_ended(struct call *call, long pid) {
    struct child_record record = {.pid = (uint64_t)pid};
    struct theseus_error err = {0};

    if (ledger_drop(call->ledger, &child_kind, &record, &err) < 0)
        warn_unrecorded("the end of a child process", &err);
}

void keep_progress(struct call *call, double value) {
    struct progress_record record = {call->key.conn, call->key.offset, call->key.index, 0};
    struct theseus_error err = {0};

    memcpy(&record.value, &value, sizeof(record.value));
    if (put_while_open(call, &progress_kind, &record, &err) < 0)
        warn_unrecorded("progress", &err);
}

void keep_drop_all(struct call *call, struct batch *batch) {
    keep_drop_key(&call->key, batch);
}

void keep_drop_key(const struct call_key *key, struct batch *batch) {
    struct request_record request = {key->conn, key->offset, key->index, {NULL, 0}, 0};
    struct run_record run = {.conn = key->conn, .offset = key->offset, .index = key->index};
    struct checkpoint_record checkpoint = {.conn = key->conn, .offset = key->offset, .index = key->index};
    struct progress_record progress = {key->conn, key->offset, key->index, 0};

    /* Whether they are there or not: until this is committed another thread may still put them. */
    batch_drop(batch, &request_kind, &request);
    batch_drop(batch, &run_kind, &run);
    batch_drop(batch, &checkpoint_kind, &checkpoint);
    batch_drop(batch, &progress_kind, &progress);
}

static void restore_run(void *arg, const void *record) {
    const struct run_record *run = record;
    struct call *call = arg;

    call->attempts = run->attempts;
    call->crashes = run->crashes;
    call->crashes_counted = run->counted;
}

static void restore_checkpoint(void *arg, const void *record) {
    const struct checkpoint_record *checkpoint = record;
    struct theseus_error err = {0};
    struct call *call = arg;

    json_decref(call->resume);
    call->resume = jsontext_read(checkpoint->state, &err);
    atomic_store(&call->has_checkpoint, call->resume != NULL);
    /* What follows the checkpoint is run again under the numbers, and so the keys, that it had. */
    atomic_store(&call->inner_calls, checkpoint->inner);
    atomic_store(&call->inner_ended, checkpoint->inner);
    if (!call->resume)
        log_error("a checkpoint cannot be read back: %s", err.message);
}

static void restore_progress(void *arg, const void *record) {
    const struct progress_record *progress = record;
    struct call *call = arg;

    memcpy(&call->last_progress, &progress->value, sizeof(call->last_progress));
}

void keep_restore_checkpoint(struct call *call) {
    struct checkpoint_record checkpoint = {call->key.conn, call->key.offset, call->key.index, {NULL, 0}, 0};

    ledger_find(call->ledger, &checkpoint_kind, &checkpoint, restore_checkpoint, call);
}

void keep_restore(struct call *call) {
    struct run_record run = run_of(call, call->key.index);
    struct progress_record progress = {call->key.conn, call->key.offset, call->key.index, 0};

    ledger_find(call->ledger, &run_kind, &run, restore_run, call);
    if (call->attempts == 0 && ledger_lost(call->ledger) > 0)
        call->attempts = 1; /* what is lost may be the record that it was begun */
    keep_restore_checkpoint(call);
    ledger_find(call->ledger, &progress_kind, &progress, restore_progress, call);
}
