#include "server/keeper.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "ledger/carry.h"
#include "ledger/snapshot.h"
#include "loop/lane.h"
#include "loop/timer.h"
#include "server/chronicle.h"
#include "server/comeback.h"
#include "server/secrets.h"

enum {
    DELAY_MS = 1500,    /* after a change, so that it is on disk within 2 s */
    INTERVAL_MS = 5000, /* between two of them */
    AGAIN_MS = 60000,   /* after one that failed */
    WRITE_LIMIT_MS = 30000,
    CLAIM_LIMIT_MS = 5000, /* then the plugins are loaded without waiting for it any longer */
};

/* What was dealt with last. */
struct dealt {
    uint64_t digest;  /* of what might be carried */
    uint64_t secrets; /* how many were known */
    uint64_t content; /* hash of what is on disk */
    bool known;       /* else nothing is known of what is on disk */
    bool on_disk;     /* there is a snapshot of ours, or one that we have claimed */
};

/* The job that writes; the lane's while it runs. */
struct writing {
    struct lane_job job;
    bool runs; /* until it has come back, however late */
    struct dealt dealt;
    int r;
    struct theseus_error err;
};

/* The job that claims, likewise. */
struct claiming {
    struct lane_job job;
    struct comeback comeback;
    struct loop_task *back; /* NULL: nobody waits */
    int r;
    struct theseus_error err;
};

struct keeper {
    struct loop *loop; /* borrowed, as what follows */
    struct lane *lane;
    struct ledger *ledger;
    struct state *state;
    struct chronicle *chronicle;
    void (*locked)(void *arg);
    void *arg;
    bool goes_on;
    char *dir;                 /* owned */
    struct snapshot *snapshot; /* owned */
    struct secrets *secrets;   /* owned */
    struct timer *timer;       /* owned */
    struct loop_task touched;
    struct writing writing;
    struct claiming claiming;
    struct map *left_out; /* plugin and key of what was said to be left out; on the lane */
    bool awake, begun, pending, hurry;
    bool complained;    /* the last one failed, and that was said */
    int64_t written_ms; /* when the last one was begun; loop's clock */
};

static void schedule(struct keeper *keeper) ON_LOOP;

/* ---- writing, on the lane ---- */

static void say_left_out(struct keeper *keeper, const char *what) {
    if (!map_put(keeper->left_out, span_of(what), keeper))
        log_warning("%s is left out of the snapshot: it contains a secret", what);
}

static bool wants_state(struct keeper *keeper, const struct state_record *state) {
    bool secret_name = secrets_are_in(keeper->secrets, state->name);

    if (!secret_name && !secrets_are_in(keeper->secrets, state->value))
        return true;
    struct span name = secret_name ? span_of("(a secret)") : state->name;
    CLEANUP(free)
    char *what = xasprintf("the value of plugin '%.*s' under the key '%.*s'", (int)state->plugin.len,
                           state->plugin.data, (int)name.len, name.data);
    say_left_out(keeper, what);
    return false;
}

static bool wants(void *arg, const struct record_kind *kind, const void *record) {
    struct keeper *keeper = arg;
    const struct checkpoint_record *checkpoint = record;
    const struct request_record *request = record;

    if (kind == &state_kind)
        return wants_state(keeper, record);
    if (kind == &checkpoint_kind && secrets_are_in(keeper->secrets, checkpoint->state)) {
        say_left_out(keeper, "the checkpoint of a call");
        return false;
    }
    if (kind == &request_kind && secrets_are_in(keeper->secrets, request->text)) {
        say_left_out(keeper, "the text of a request");
        return false;
    }
    return true;
}

static int put_on_disk(struct keeper *keeper, struct dealt *dealt, struct theseus_error *err) {
    CLEANUP(carried_fini) struct carried carried = {0};

    if (carry_pack(keeper->ledger, wants, keeper, &carried, err) < 0)
        return -1;
    dealt->digest = carried.digest; /* of what is written: it may have changed since write_run() looked */
    uint64_t content = carried.records ? hash_u64(buf_span(&carried.content)) : 0;
    if (dealt->known && content == dealt->content)
        return 0; /* what has changed is not carried */
    if (carried.records > 0) {
        if (snapshot_write(keeper->snapshot, buf_span(&carried.content), carried.records, err) < 0)
            return -1;
    } else if (dealt->on_disk && snapshot_discard(keeper->snapshot, err) < 0) {
        return -1;
    }
    dealt->content = content;
    dealt->known = true;
    dealt->on_disk = carried.records > 0;
    return 0;
}

static bool is_dealt_with(const struct dealt *dealt, const struct dealt *now) {
    return dealt->known && dealt->digest == now->digest && dealt->secrets == now->secrets;
}

static void write_run(void *job) {
    struct keeper *keeper = container_of((struct lane_job *)job, struct keeper, writing.job);
    struct dealt *dealt = &keeper->writing.dealt;
    struct dealt now = *dealt;
    uint64_t records;

    now.secrets = secrets_count(keeper->secrets);
    carry_digest(keeper->ledger, &now.digest, &records);
    keeper->writing.r = 0;
    if (is_dealt_with(dealt, &now))
        return;
    keeper->writing.err = (struct theseus_error){0};
    keeper->writing.r = put_on_disk(keeper, &now, &keeper->writing.err);
    if (keeper->writing.r == 0)
        *dealt = now;
}

/* ---- writing, on the loop ---- */

static void tell_locked(struct keeper *keeper) ON_LOOP {
    if (keeper->locked)
        keeper->locked(keeper->arg);
}

static void complain(struct keeper *keeper, const char *why) ON_LOOP {
    if (!keeper->complained)
        log_warning("no snapshot can be written, and state would not survive a power failure: %s", why);
    keeper->complained = true;
    keeper->pending = true;
}

static void on_written(struct lane_job *job, bool timed_out) {
    struct keeper *keeper = container_of(job, struct keeper, writing.job);

    loop_enter();
    if (timed_out) {
        complain(keeper, "the disk does not answer");
        return; /* the job is the thread's until it comes back */
    }
    keeper->writing.runs = false;
    tell_locked(keeper);
    if (keeper->writing.r < 0)
        complain(keeper, keeper->writing.err.message);
    else if (keeper->complained)
        log_info("snapshots can be written again");
    if (keeper->writing.r == 0)
        keeper->complained = false;
    if (keeper->pending)
        schedule(keeper);
}

static void on_written_late(struct lane_job *job) {
    loop_enter();
    on_written(job, false);
}

static void on_touched(void *arg) {
    struct keeper *keeper = arg;

    loop_enter();
    keeper->pending = true;
    schedule(keeper);
}

/* Any thread: whoever has changed something. */
static void touch(void *arg) {
    struct keeper *keeper = arg;

    loop_post_task(keeper->loop, &keeper->touched);
}

static void start_writing(struct keeper *keeper) ON_LOOP {
    keeper->pending = false;
    keeper->written_ms = loop_now_ms(keeper->loop);
    ledger_watch(keeper->ledger, touch, keeper); /* before it is read: what changes from here on is told */
    keeper->writing.runs = true;
    keeper->writing.job =
        (struct lane_job){.run = write_run, .done = on_written, .late = on_written_late, .limit_ms = WRITE_LIMIT_MS};
    lane_submit(keeper->lane, &keeper->writing.job);
}

static void on_time(void *arg) {
    struct keeper *keeper = arg;

    loop_enter();
    if (keeper->begun && keeper->pending && !keeper->writing.runs)
        start_writing(keeper);
}

static void schedule(struct keeper *keeper) {
    int64_t now_ms = loop_now_ms(keeper->loop);
    int64_t earliest_ms = keeper->written_ms + (keeper->complained ? AGAIN_MS : INTERVAL_MS);
    int64_t delay_ms = earliest_ms - now_ms > DELAY_MS ? earliest_ms - now_ms : DELAY_MS;

    if (keeper->begun && !keeper->writing.runs)
        timer_start(keeper->timer, keeper->hurry ? 0 : delay_ms, 0);
}

void keeper_begin(struct keeper *keeper) {
    if (!keeper->awake || keeper->begun)
        return;
    keeper->begun = true;
    if (keeper->pending)
        schedule(keeper);
}

void keeper_add_secret(struct keeper *keeper, const json_t *value) {
    secrets_add(keeper->secrets, value);
}

bool keeper_has_secret(struct keeper *keeper, struct span text) {
    return secrets_are_in(keeper->secrets, text);
}

void keeper_hurry(struct keeper *keeper) {
    if (!keeper->begun || keeper->writing.runs || !keeper->pending)
        return;
    timer_stop(keeper->timer);
    start_writing(keeper);
}

static bool is_busy(const struct keeper *keeper) {
    return keeper->writing.runs || keeper->pending;
}

void keeper_finish(struct keeper *keeper, int timeout_ms) {
    int64_t end_ns = clock_now_ns() + timeout_ms * INT64_C(1000000);

    if (!keeper->begun)
        return;
    keeper->hurry = true;
    (void)loop_turn(keeper->loop, 0); /* a change may still wait to be told */
    keeper_hurry(keeper);
    while (is_busy(keeper) && !keeper->complained && clock_now_ns() < end_ns)
        (void)loop_turn(keeper->loop, 10);
    if (is_busy(keeper) && !keeper->complained)
        log_warning("the last changes of state are not in the snapshot: the disk is too slow");
}

/* ---- coming back ---- */

static void claim_run(void *job) {
    struct claiming *claiming = container_of((struct lane_job *)job, struct claiming, job);
    struct keeper *keeper = container_of(claiming, struct keeper, claiming);

    claiming->r = comeback_try(&claiming->comeback, keeper->snapshot, keeper->state, &claiming->err);
}

static void tell_refused(const struct comeback *comeback) {
    if (comeback->refused == 1)
        log_warning("a snapshot is refused: %s", comeback->refusal.message);
    else if (comeback->refused > 1)
        log_warning("%d snapshots are refused, the first: %s", comeback->refused, comeback->refusal.message);
}

static void tell_interrupted(struct keeper *keeper, const struct comeback *comeback) ON_LOOP {
    const struct history_event event = comeback_event(comeback);
    json_t *call;
    size_t i;

    json_array_foreach (comeback->calls, i, call)
        log_warning("%s", json_string_value(json_object_get(call, "message")));
    if (comeback->interrupted > 0)
        chronicle_add(keeper->chronicle, &event);
}

static void take_claimed(struct keeper *keeper) ON_LOOP {
    struct claiming *claiming = &keeper->claiming;
    const struct comeback *comeback = &claiming->comeback;

    if (claiming->r < 0) {
        log_warning("what a server before may have left is not brought back: %s", claiming->err.message);
        return;
    }
    tell_refused(comeback);
    if (!comeback->claimed)
        return;
    log_info("%d values of state are back from the snapshot of server %s; %d were there already; %lld calls had been "
             "interrupted",
             comeback->values, comeback->boot_id, comeback->present, (long long)comeback->interrupted);
    tell_interrupted(keeper, comeback);
    keeper->writing.dealt.on_disk = true; /* until our own first one is */
    keeper->pending = true;
}

static void let_go(struct keeper *keeper) ON_LOOP {
    struct loop_task *back = TAKE_PTR(keeper->claiming.back);

    if (back)
        back->run(back->arg);
}

static void on_claimed(struct lane_job *job, bool timed_out) {
    struct keeper *keeper = container_of(job, struct keeper, claiming.job);

    loop_enter();
    if (timed_out)
        log_warning("the snapshots in '%s' are not read yet; the plugins do not wait for them any longer", keeper->dir);
    else
        take_claimed(keeper);
    tell_locked(keeper);
    let_go(keeper);
}

static void on_claimed_late(struct lane_job *job) {
    struct keeper *keeper = container_of(job, struct keeper, claiming.job);

    loop_enter();
    take_claimed(keeper);
    schedule(keeper);
}

void keeper_wake(struct keeper *keeper, struct loop_task *back) {
    keeper->awake = true;
    keeper->pending = true; /* the first look says whether there is anything to carry */
    keeper->claiming.back = back;
    ledger_watch(keeper->ledger, touch, keeper);
    if (keeper->goes_on || (access(keeper->dir, F_OK) < 0 && errno == ENOENT)) {
        keeper->pending = keeper->goes_on;
        let_go(keeper);
        return;
    }
    keeper->claiming.job =
        (struct lane_job){.run = claim_run, .done = on_claimed, .late = on_claimed_late, .limit_ms = CLAIM_LIMIT_MS};
    lane_submit(keeper->lane, &keeper->claiming.job);
}

/* ---- life ---- */

struct keeper *keeper_new(const struct keeper_origin *origin) {
    struct keeper *keeper = xcalloc(1, sizeof(*keeper));

    keeper->loop = origin->loop;
    keeper->lane = origin->lane;
    keeper->ledger = origin->ledger;
    keeper->state = origin->state;
    keeper->chronicle = origin->chronicle;
    keeper->locked = origin->locked;
    keeper->arg = origin->arg;
    keeper->goes_on = origin->goes_on;
    keeper->dir = path_join(origin->state_dir, "snapshots");
    keeper->snapshot = snapshot_new(&(struct snapshot_origin){
        .dir = keeper->dir,
        .key_file = origin->key_file,
        .boot_id = origin->boot_id,
        .server_version = THESEUS_VERSION,
    });
    keeper->secrets = secrets_new();
    keeper->left_out = map_new();
    keeper->timer = timer_new(keeper->loop, on_time, keeper);
    keeper->touched = (struct loop_task){.run = on_touched, .arg = keeper};
    keeper->written_ms = loop_now_ms(keeper->loop) - INTERVAL_MS;
    return keeper;
}

struct keeper *keeper_free(struct keeper *keeper) {
    if (!keeper)
        return NULL;
    ledger_watch(keeper->ledger, NULL, NULL);
    loop_forget(keeper->loop, &keeper->touched);
    keeper->timer = timer_free(keeper->timer);
    comeback_fini(&keeper->claiming.comeback);
    keeper->snapshot = snapshot_free(keeper->snapshot);
    keeper->secrets = secrets_free(keeper->secrets);
    keeper->left_out = map_free(keeper->left_out);
    free(keeper->dir);
    free(keeper);
    return NULL;
}

int keeper_lock_fd(const struct keeper *keeper) {
    return snapshot_lock_fd(keeper->snapshot);
}

int keeper_adopt(struct keeper *keeper, int lock_fd, struct theseus_error *err) {
    keeper->goes_on = true;
    if (lock_fd < 0)
        return 0;
    if (snapshot_adopt(keeper->snapshot, lock_fd, err) < 0)
        return -1;
    keeper->writing.dealt.on_disk = true;
    return 0;
}

int keeper_take_up(struct keeper *keeper, struct theseus_error *err) {
    int r = snapshot_take_up(keeper->snapshot, err);

    keeper->goes_on = true;
    keeper->writing.dealt.on_disk = r == 0;
    return r < 0 ? -1 : 0;
}

struct snapshot *keeper_snapshot(const struct keeper *keeper) {
    return keeper->snapshot;
}
