#include "server/carried.h"

#include "base/log.h"
#include "call/keep.h"

struct dropping {
    struct batch batch;
    const struct record_kind *kind;
};

static void drop_one(void *arg, const void *record) {
    struct dropping *dropping = arg;

    batch_drop(&dropping->batch, dropping->kind, record);
}

static void drop_kind(struct ledger *ledger, const struct record_kind *kind) {
    struct dropping dropping = {.kind = kind};
    struct theseus_error err = {0};

    ledger_each(ledger, kind, drop_one, &dropping);
    if (ledger_commit(ledger, &dropping.batch, &err) < 0)
        log_error("what is not carried on could not be dropped: %s", err.message);
    batch_fini(&dropping.batch);
}

/* Calls that handlers made themselves ended with the image; the outer call says what becomes of them. */
static void drop_inner_run(void *arg, const void *recorded) {
    const struct run_record *run = recorded;

    if (keep_is_inner(run->index))
        batch_drop(arg, &run_kind, run);
}

static void drop_inner_runs(struct ledger *ledger) {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct theseus_error err = {0};

    ledger_each(ledger, &run_kind, drop_inner_run, &batch);
    if (ledger_commit(ledger, &batch, &err) < 0)
        log_error("records of inner calls could not be dropped: %s", err.message);
}

/*
 * What is not to be carried on is put aside until it is certain that this image stays: the image before would need it.
 */
static const struct {
    const struct record_kind *kind, *aside;
} not_carried[] = {
    {&state_kind, &state_aside_kind},
    {&checkpoint_kind, &checkpoint_aside_kind},
    {&saved_kind, &saved_aside_kind},
};

struct moving {
    struct batch batch;
    const struct record_kind *from, *to;
};

static void move_one(void *arg, const void *record) {
    struct moving *moving = arg;

    batch_put(&moving->batch, moving->to, record);
    batch_drop(&moving->batch, moving->from, record);
}

static void move_kind(struct ledger *ledger, const struct record_kind *from, const struct record_kind *to) {
    struct moving moving = {.from = from, .to = to};
    struct theseus_error err = {0};

    ledger_each(ledger, from, move_one, &moving);
    if (ledger_commit(ledger, &moving.batch, &err) < 0)
        log_error("%s: %s", from->name, err.message);
    batch_fini(&moving.batch);
}

void carried_put_aside(struct ledger *ledger) {
    for (size_t i = 0; i < ARRAY_SIZE(not_carried); i++)
        move_kind(ledger, not_carried[i].kind, not_carried[i].aside);
}

void carried_take_back(struct ledger *ledger) {
    for (size_t i = 0; i < ARRAY_SIZE(not_carried); i++)
        move_kind(ledger, not_carried[i].aside, not_carried[i].kind);
}

void carried_drop_aside(struct ledger *ledger) {
    for (size_t i = 0; i < ARRAY_SIZE(not_carried); i++)
        drop_kind(ledger, not_carried[i].aside);
}

void carried_drop_gone(struct ledger *ledger) {
    drop_inner_runs(ledger);
}

void carried_drop_saved(struct ledger *ledger) {
    drop_kind(ledger, &saved_kind);
}
