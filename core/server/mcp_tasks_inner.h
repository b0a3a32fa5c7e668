/* The structs of the MCP tasks, for the files that are parts of them (mcp_tasks*.c). */
#pragma once

#include "call/call.h"
#include "loop/lane.h"
#include "server/mcp_tasks.h"
#include "server/task_file.h"

enum { TASK_ID_BYTES = 33 };

struct mcp_tasks {
    struct mcp_tasks_origin origin;
    char *dir;           /* owned: of the files of tasks */
    struct lane *lane;   /* owned: the database */
    struct timer *tick;  /* owned; runs while there is something to look after */
    struct timer *sweep; /* owned; looks for what dead processes have left */
    bool ticking, loaded, leaving;
    struct look *look;  /* owned: for what dead processes have left; NULL: none is under way */
    struct list offers; /* struct offered::link, owned */
    struct list tasks;  /* struct task::link, owned */
    struct list questions;
    int64_t pid, started; /* this process */
};

enum task_state {
    TASK_NEW,     /* nobody has heard of it */
    TASK_WORKING, /* its call is at work */
    TASK_WAITING, /* it was another process's, and is gone on with when the plugins are there */
    TASK_OVER,    /* it has an outcome, and is on its way into the database */
};

struct task {
    struct list link;
    struct mcp_tasks *tasks;
    struct conn *conn;
    struct call *call; /* a reference; NULL: there is none (any more) */
    struct call_key key;
    enum task_state state;
    char id[TASK_ID_BYTES];
    char *tool, *message, *answer; /* owned; message: the last step; answer: the response's line, "" for cancelled */
    const char *status;
    int64_t created_ms, updated_ms;
    struct task_file *file; /* a reference; NULL: no other process could go on with it */
    struct task_left *left; /* owned: of the process before, while it waits */
    json_t *client;         /* owned: who asked, while it is made */
    struct lane_job job;
    bool busy;  /* the job is on the lane, which reads all of the above */
    bool ended; /* meanwhile its call is over */
    bool said;  /* that the database does not take it */
    bool told;  /* its end: it is in the database, or that does not take it */
    int r;
    struct theseus_error err;
};

/* mcp_tasks.c */
struct task *task_new(struct mcp_tasks *tasks, struct call *call, const char *tool) ON_LOOP;
void task_free(struct task *task) ON_LOOP;
struct task *mcp_tasks_find(struct mcp_tasks *tasks, const char *id) ON_LOOP; /* that somebody may have heard of */
void mcp_tasks_keep_ticking(struct mcp_tasks *tasks) ON_LOOP;
void task_look_at_step(struct task *task) ON_LOOP; /* it is not busy */
void task_tell(struct task *task) ON_LOOP;         /* whoever listens */
json_t *task_json_new(const struct task *task) ON_LOOP;

/* mcp_tasks_make.c */
void offered_free_all(struct mcp_tasks *tasks) ON_LOOP;
void mcp_tasks_look_at_offers(struct mcp_tasks *tasks) ON_LOOP;
void task_drop(struct task *task) ON_LOOP; /* nobody has heard of it, nor will */

/* mcp_tasks_end.c */
void task_end(struct task *task) ON_LOOP;          /* its call is over, and it is not busy */
bool task_take_outcome(struct task *task) ON_LOOP; /* false: there is none */
void task_write_end(struct task *task) ON_LOOP;    /* it is over */

/* mcp_tasks_store.c: the database; the jobs run on the lane */
void task_submit(struct task *task, work_fn *run, void (*done)(struct lane_job *, bool)) ON_LOOP;
void task_run_put(void *job);
void task_run_drop(void *job);
bool task_has_failed(struct task *task); /* said once for each; it is tried again */

/* mcp_tasks_ask.c */
void questions_free_all(struct mcp_tasks *tasks) ON_LOOP;

/* mcp_tasks_adopt.c */
/* On the lane. Makes the row of a process that has ended ours. `ret_left`: what there is to go on with, owned; NULL:
 * nothing. ADOPT_NOT: another was faster, or nothing is adopted here. */
enum { ADOPT_NOT = 1 };
MUST_CHECK int adopt_claim(struct mcp_tasks *tasks, const struct mcp_task_row *row, struct task_left **ret_left,
                           struct theseus_error *err);
bool adopt_may(const struct mcp_tasks *tasks, const struct mcp_task_row *row);
/* On the lane. Is it at work in another process? */
bool adopt_is_at_work(const struct mcp_tasks *tasks, const struct mcp_task_row *row);
/* What was claimed: it goes on, or ends with the reason why not. Takes `left`. */
struct task *adopt_take(struct mcp_tasks *tasks, const struct mcp_task_row *row, struct task_left *left) ON_LOOP;
void adopt_begin(struct task *task) ON_LOOP;        /* one that waits: if it can */
void adopt_cancel(struct task *task) ON_LOOP;       /* one that waits */
void adopt_forget(struct mcp_tasks *tasks) ON_LOOP; /* the lane is gone */
void adopt_on_time(void *arg);
/* Of a call that was begun in another process: its key there, and who asked. */
void adopt_mark(struct call *call, struct span call_key, const json_t *client) ON_LOOP;

static inline struct task *task_of(struct lane_job *job) {
    return container_of(job, struct task, job);
}
