#include "writer.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "active.h"
#include "answers.h"
#include "archive.h"
#include "clock.h"
#include "queue.h"
#include "search.h"
#include "session.h"
#include "sql.h"
#include "tasks.h"
#include "watch.h"

enum {
    GROUP_MAX = 512,               /* calls of one transaction */
    GROUP_NS = 5 * 1000 * 1000,    /* and how long it takes more, so that others come to write */
    LINGER_NS = 400 * 1000,        /* how long a commit waits for calls that are probably on their way */
    BUSY_PATIENCE_MS = 120 * 1000, /* for another process that keeps the write lock */
    CACHE_KIB = 4096,
    LOG_PAGES = 4000,     /* of the write-ahead log, then it is written back */
    KEPT_BYTES = 1 << 20, /* of freed memory: else each group gives it back and asks for it again */
    COMMIT_SHARE = 2,     /* a commit that takes more than so many times the calls of it is a slow one */
    HANDFULS = 4,
    HANDED_ON = 8,        /* so many answers are worth waking a thread for */
    SWEEP_MS = 10 * 1000, /* how often old answers are forgotten, and old tasks archived */
};

struct writer {
    struct tasks *tasks;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct work *first, **last; /* the queue */
    bool stopping;
    unsigned queued, wanted; /* calls in it, and how many are worth waking the thread for; UINT_MAX: it is awake */
    int thread;              /* -1: not started */
    /* of the thread alone */
    bool is_full, is_set_up;
    int64_t swept_at, archive_after; /* ms: when, and by which setting */
    unsigned goal;                   /* calls of the next group, if so many come */
};

/* The calls of one transaction, in their order. */
struct group {
    struct work *first;
    unsigned count;             /* of those that were begun */
    int64_t begun_ns, since_ns; /* when it was begun, and when the calls at hand were */
    int64_t run_ns, commit_ns;  /* how long its calls took, and the commit */
};

static void writer_main(void *arg);

struct writer *writer_new(struct tasks *tasks) {
    struct writer *writer = calloc(1, sizeof(*writer));
    pthread_condattr_t monotonic;

    if (!writer)
        return NULL;
    writer->tasks = tasks;
    writer->last = &writer->first;
    writer->thread = -1;
    writer->goal = 1;
    writer->wanted = UINT_MAX;
    (void)pthread_mutex_init(&writer->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&writer->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return writer;
}

struct writer *writer_free(struct writer *writer) {
    if (!writer)
        return NULL;
    (void)pthread_mutex_lock(&writer->mutex);
    writer->stopping = true;
    (void)pthread_cond_signal(&writer->wake);
    (void)pthread_mutex_unlock(&writer->mutex);
    if (writer->thread >= 0)
        theseus_thread_join(writer->tasks->ctx, writer->thread);
    (void)pthread_cond_destroy(&writer->wake);
    (void)pthread_mutex_destroy(&writer->mutex);
    free(writer);
    return NULL;
}

/* With the mutex. The thread is there from the first write on: many servers never see one. */
static int start(struct writer *writer) {
    if (writer->thread < 0)
        writer->thread = theseus_thread(writer->tasks->ctx, writer_main, writer);
    return writer->thread;
}

int writer_submit(struct writer *writer, struct work *work) {
    work->writing = true;
    (void)pthread_mutex_lock(&writer->mutex);
    bool runs = start(writer) >= 0;
    if (runs) {
        *writer->last = work;
        writer->last = &work->next;
        if (++writer->queued >= writer->wanted)
            (void)pthread_cond_signal(&writer->wake);
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    if (runs)
        return THESEUS_LATER;
    (void)work_refuse(work, "there is no thread to write with: %s", theseus_last_error(work->call->host));
    return work_reply(work);
}

/* ---- the queue, from the thread's side ---- */

static int64_t now_ns(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* With the mutex: what is queued, but no more than `most`, which is at least 1; NULL: nothing is. */
static struct work *take(struct writer *writer, unsigned most) {
    struct work *works = writer->first, *end = works;

    if (writer->queued <= most) {
        writer->first = NULL;
        writer->last = &writer->first;
        writer->queued = 0;
        return works;
    }
    for (unsigned i = 1; i < most; i++)
        end = end->next;
    writer->first = end->next;
    end->next = NULL;
    writer->queued -= most;
    return works;
}

/* With the mutex, until so many calls are queued. False: it is `until` (NULL: never). */
static bool wait(struct writer *writer, unsigned wanted, const struct timespec *until) {
    writer->wanted = wanted;
    int r = until ? pthread_cond_timedwait(&writer->wake, &writer->mutex, until)
                  : pthread_cond_wait(&writer->wake, &writer->mutex);
    writer->wanted = UINT_MAX;
    return r != ETIMEDOUT;
}

/* Waits for the first calls of a group; NULL: the writer is to end. */
static struct work *wait_first(struct writer *writer) {
    (void)pthread_mutex_lock(&writer->mutex);
    while (!writer->first && !writer->stopping)
        (void)wait(writer, 1, NULL);
    struct work *works = take(writer, writer->goal);
    (void)pthread_mutex_unlock(&writer->mutex);
    return works;
}

/*
 * More calls for the group; NULL: it is complete. Those that are expected are waited for, since one commit more costs
 * more than a short wait. They are run as they come, in handfuls: to be woken for each costs as much as to run it.
 */
static struct work *wait_more(struct writer *writer, struct group *group) {
    int64_t now = now_ns(), until = group->begun_ns + GROUP_NS;

    group->run_ns += now - group->since_ns;
    if (group->count >= writer->goal || now >= until)
        return NULL;
    if (until > now + LINGER_NS)
        until = now + LINGER_NS;
    struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    (void)pthread_mutex_lock(&writer->mutex);
    while (!writer->first && !writer->stopping)
        if (!wait(writer, (writer->goal - group->count + HANDFULS - 1) / HANDFULS, &at))
            break;
    struct work *works = take(writer, writer->goal - group->count);
    (void)pthread_mutex_unlock(&writer->mutex);
    group->since_ns = now_ns();
    return works;
}

/* ---- one call ---- */

static int run(struct work *work) {
    int r = work->kind->run(work);

    if (r == 0)
        r = work_finish(work);
    return r == 0 ? answers_keep(work) : -1;
}

static bool in_transaction(const struct writer *writer) {
    sqlite3 *db = theseus_db(writer->tasks->ctx);

    return db && !sqlite3_get_autocommit(db);
}

/* A call that has run before is refused for what it did then, or because its answer is there already. */
static void find_answer(struct work *work) {
    struct theseus_error refusal = work->err;

    if (answers_find(work) == 0)
        work->err = refusal;
}

/*
 * In the transaction. 0: it did its work, or was refused before it had changed anything; -1: the transaction is of no
 * use. (A savepoint for each call would allow to undo one alone, and costs a copy of every page that it touches.)
 */
static int run_one(struct writer *writer, struct work *work) {
    sqlite3 *db = theseus_db(writer->tasks->ctx);
    sqlite3_int64 before = sqlite3_total_changes64(db);

    if (theseus_cancelled(work->call)) {
        (void)work_refuse(work, "cancelled");
        return 0;
    }
    if (run(work) == 0)
        return 0;
    work->done = false;
    if (!in_transaction(writer) || sqlite3_total_changes64(db) != before)
        return -1;
    find_answer(work);
    return in_transaction(writer) ? 0 : -1;
}

/* ---- the transaction ---- */

/* The connection belongs to this thread; how much it caches and syncs is this plugin's affair. */
static void set_up(struct writer *writer) {
    bool is_full = atomic_load(&writer->tasks->is_full);
    sqlite3 *db = theseus_db(writer->tasks->ctx);

    if (!db || (writer->is_set_up && writer->is_full == is_full))
        return;
    char *pragmas = sqlite3_mprintf("PRAGMA synchronous = %s; PRAGMA cache_size = -%d; PRAGMA wal_autocheckpoint = %d",
                                    is_full ? "FULL" : "NORMAL", (int)CACHE_KIB, (int)LOG_PAGES);
    writer->is_set_up = pragmas && sqlite3_exec(db, pragmas, NULL, NULL, NULL) == SQLITE_OK;
    writer->is_full = is_full;
    sqlite3_free(pragmas);
}

static bool is_busy(const struct work *work) {
    sqlite3 *db = theseus_db(work->tasks->ctx);

    return db && (sqlite3_extended_errcode(db) & 0xff) == SQLITE_BUSY;
}

static int begin(struct writer *writer, struct work *work) {
    int64_t give_up = clock_now() + BUSY_PATIENCE_MS;

    set_up(writer);
    session_forget(writer->tasks);
    while (sql_run(work, "BEGIN IMMEDIATE", "") < 0)
        if (!is_busy(work) || clock_now() > give_up || theseus_cancelled(work->call))
            return -1;
    work->broken = false;
    work->err = (struct theseus_error){0};
    return active_begin(work);
}

static void roll_back(struct writer *writer) {
    struct work undo = {.tasks = writer->tasks};

    active_forget(writer->tasks);
    if (in_transaction(writer))
        (void)sql_run(&undo, "ROLLBACK", "");
}

/* What is old, now and then, beside what is written anyway. */
static int sweep(struct writer *writer, struct work *work) {
    int64_t archive_after = atomic_load(&work->tasks->archive_after_ms);

    if (work->now - writer->swept_at <= SWEEP_MS && archive_after == writer->archive_after)
        return 0;
    int r = answers_sweep(work) < 0 ? -1 : archive_sweep(work);
    if (r == 0) {
        writer->swept_at = work->now;
        writer->archive_after = archive_after;
    }
    return r < 0 ? -1 : 0;
}

static int commit(struct writer *writer, struct work *work) {
    if (search_update(work) < 0 || sweep(writer, work) < 0)
        return -1;
    watch_committing(writer->tasks->watch);
    int r = sql_run(work, "COMMIT", "");
    watch_committed(writer->tasks->watch);
    return r;
}

/* By itself: what fails is this call's own failure. */
static void run_alone(struct writer *writer, struct work *work) {
    struct work closing = {.tasks = writer->tasks, .call = work->call, .now = work->now};

    work_reset(work);
    if (begin(writer, work) < 0)
        return;
    if (run_one(writer, work) == 0 && commit(writer, &closing) == 0)
        return;
    roll_back(writer);
    work->done = false;
    if (closing.err.code)
        work->err = closing.err;
    else
        find_answer(work);
}

/* Runs the group's calls and all that come while it does. -1: nothing of it is stored. */
static int run_together(struct writer *writer, struct group *group) {
    struct work *work = group->first;

    if (begin(writer, work) < 0)
        return -1;
    while (work) {
        group->count++;
        if (run_one(writer, work) < 0)
            return -1;
        if (!work->next)
            work->next = wait_more(writer, group);
        work = work->next;
    }
    struct work closing = {.tasks = writer->tasks, .call = group->first->call, .now = group->first->now};
    int64_t end = now_ns();
    int r = commit(writer, &closing);
    group->commit_ns = now_ns() - end;
    return r;
}

/*
 * Before the group is answered: as many are in flight as it has, and have come meanwhile. Where a commit is quick a
 * group is only half of them, so that the others are answered, and call again, while it is run; where the disk is slow
 * one commit for all of them is better.
 */
static void set_goal(struct writer *writer, const struct group *group) {
    (void)pthread_mutex_lock(&writer->mutex);
    unsigned open = group->count + writer->queued;
    (void)pthread_mutex_unlock(&writer->mutex);
    writer->goal = group->commit_ns <= COMMIT_SHARE * group->run_ns ? (open + 1) / 2 : open;
    if (writer->goal > GROUP_MAX)
        writer->goal = GROUP_MAX;
    if (writer->goal == 0)
        writer->goal = 1;
}

/* Answering many takes about as long as a commit does, and is done beside the next group. */
static void answer(struct writer *writer, struct group *group) {
    if (group->count >= HANDED_ON && queue_submit(writer->tasks->answerer, group->first))
        return;
    for (struct work *work = group->first, *next; work; work = next) {
        next = work->next;
        (void)work_reply(work);
    }
}

static void run_group(struct writer *writer, struct work *first) {
    int64_t now = now_ns();
    struct group group = {.first = first, .begun_ns = now, .since_ns = now};

    if (run_together(writer, &group) < 0) {
        roll_back(writer);
        for (struct work *work = group.first; work; work = work->next)
            run_alone(writer, work);
    }
    set_goal(writer, &group);
    answer(writer, &group);
}

static void writer_main(void *arg) {
    struct writer *writer = arg;
    struct work *first;

    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);

    while ((first = wait_first(writer)))
        run_group(writer, first);
}
