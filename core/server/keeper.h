/*
 * The keeper writes the sealed snapshot: what a cold start brings back after the machine went down (ledger/carry.h).
 *
 * At most 2 s after something of it changed, at most every 5 s, and when the server leaves. It is woken by the change
 * itself: an idle server is left alone. It reads, seals and writes on the lane. While there is nothing to carry there
 * is no file and no key. No record that contains a secret is written.
 *
 * At the first real work of a cold start it claims what a dead server left, and puts the state back before any plugin
 * is loaded. A checkpoint is of no use any more, for whoever asked has gone: interrupted calls are reported.
 */
#pragma once

#include <jansson.h>

#include "base/mem.h"
#include "base/span.h"
#include "base/thread.h"
#include "loop/loop.h"

struct chronicle;
struct keeper;
struct lane;
struct ledger;
struct snapshot;
struct state;

struct keeper_origin { /* everything is borrowed, texts only for the call */
    struct loop *loop;
    struct lane *lane; /* of its own, or shared with the sweep */
    struct ledger *ledger;
    struct state *state;
    struct chronicle *chronicle;
    const char *state_dir, *key_file;
    const char *boot_id;       /* of the first image of this process */
    void (*locked)(void *arg); /* optional: the lock may have been taken; on the loop */
    void *arg;
    bool goes_on; /* another image, or server, came before: there is nothing to claim */
};

struct keeper *keeper_new(const struct keeper_origin *origin) ON_LOOP;
/* No other thread commits any more, and the lane is gone. What is on disk is an orphan from here on. */
struct keeper *keeper_free(struct keeper *keeper) ON_LOOP;

/* For the exec. The descriptor to be kept open, borrowed; -1: there is none. The next image takes it over. */
int keeper_lock_fd(const struct keeper *keeper) ON_LOOP;
MUST_CHECK int keeper_adopt(struct keeper *keeper, int lock_fd, struct theseus_error *err) ON_LOOP;

/* The same where the process before was killed: what it has written is ours. */
MUST_CHECK int keeper_take_up(struct keeper *keeper, struct theseus_error *err) ON_LOOP;

/* The first real work. Runs `back` when state that is to come back has done so: at once when there is none. */
void keeper_wake(struct keeper *keeper, struct loop_task *back) ON_LOOP;

/* The plugins are loaded, so their secrets are known: from here on it is written. */
void keeper_begin(struct keeper *keeper) ON_LOOP;
void keeper_add_secret(struct keeper *keeper, const json_t *value); /* any thread */
bool keeper_has_secret(struct keeper *keeper, struct span text);    /* does it contain one? Any thread */

/* The server is about to leave: whatever has changed is written now. */
void keeper_hurry(struct keeper *keeper) ON_LOOP;
/* The same, and turns the loop until that is done, or the time is over. */
void keeper_finish(struct keeper *keeper, int timeout_ms) ON_LOOP;

struct snapshot *keeper_snapshot(const struct keeper *keeper); /* borrowed: for the sweep */

DEFINE_LOOP_CLEANUP(struct keeper *, keeper_free)
