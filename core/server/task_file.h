/*
 * What another process needs to go on with a call that became a task: files named by the task, in a directory of their
 * own beside the database.
 *
 *     ID.call         who asked for what: written once, before the client hears of the task
 *     ID.even, .odd   the last two checkpoints, each over the one before the last: written before theseus_checkpoint()
 *                     returns, for a handler may have an effect then that must not be repeated
 *     ID.ends         how often a process has ended since the last checkpoint while it ran the call
 *
 * Nothing is waited for: it is there whatever becomes of the process. One that is not whole has not been returned from,
 * so the one before it is the last one. When the machine goes down the last one may be lost, and an earlier one be in
 * its place: `same_boot` says whether it did.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "call/call.h"

struct task_file;

/* May this text be on a disk? Any thread. */
typedef bool task_file_may_fn(void *arg, struct span text);

/* One reference. Any thread, all of it. */
struct task_file *task_file_new(const char *dir, const char *id, task_file_may_fn *may, void *arg);
struct task_file *task_file_unref(struct task_file *file);

/* Who asked for what. `request`: its line. 1: it may not be on a disk, and there is no file. */
enum { TASK_FILE_SECRET = 1 };
struct task_asked {
    const char *call_key;
    const json_t *client; /* as text members, see task_file.c; NULL: unknown */
    struct span request;
};
MUST_CHECK int task_file_create(struct task_file *file, const struct task_asked *asked, struct theseus_error *err);

/* The journal of its call, with a reference. */
struct call_journal *task_file_journal(struct task_file *file);
/* A checkpoint that was made before there was a journal: unless there is a later one. */
MUST_CHECK int task_file_catch_up(struct task_file *file, struct span state, uint64_t inner, struct theseus_error *err);

void task_file_rest(struct task_file *file);   /* the process leaves, and not because of this call */
void task_file_remove(struct task_file *file); /* nobody has to go on with it: no file is there, nor comes again */

/* ---- of a process that has ended ---- */

struct task_left {
    json_t *head;    /* owned: {call_key, client} */
    struct buf text; /* the file; `request` lies in it */
    struct span request;
    struct buf checkpoint; /* the file; `state` lies in it */
    struct span state;     /* empty: there is no checkpoint */
    uint64_t inner, ends;
    bool same_boot; /* the machine has not gone down since */
};

/* *ret_left: owned; NULL: there is nothing, or nothing that is whole. An error is what cannot be read now. */
MUST_CHECK int task_file_read(const char *dir, const char *id, struct task_left **ret_left, struct theseus_error *err);
void task_left_free(struct task_left *left);
/* One more process has begun it. */
MUST_CHECK int task_file_count_end(const char *dir, const char *id, uint64_t ends, struct theseus_error *err);

/* The tasks of which there are files; calls `visit` with each id. */
typedef void task_file_visit_fn(void *arg, const char *id);
bool task_file_any(const char *dir); /* may there be any? Cheap */
void task_file_each(const char *dir, task_file_visit_fn *visit, void *arg);
void task_file_forget(const char *dir, const char *id); /* removes them */
int64_t task_file_age_ms(const char *dir, const char *id);

DEFINE_CLEANUP(struct task_file *, task_file_unref)
