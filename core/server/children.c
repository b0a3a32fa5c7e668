#include "server/children.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "call/proc.h"
#include "loop/pidfd.h"
#include "loop/poll.h"
#include "loop/timer.h"

enum { LOOK_MS = 2, PATIENCE_MS = 1000 };

struct ending {
    struct list link;
    pid_t pid;
    struct call_key key; /* conn 0: of no call */
    bool reaped;         /* itself; of its group somebody may still be there */
    bool killed;
    bool over;
};

/* One of no call. */
struct stranger {
    struct list link;
    struct children *children;
    pid_t pid;
    bool writes_core;
    int fd;            /* owned; readable when it has ended */
    struct poll *poll; /* owned */
};

struct children {
    struct ledger *ledger;
    struct loop *loop;
    children_ended_fn *ended;
    void *arg;
    struct list endings;   /* ending::link, owned; those that are over, too */
    struct list strangers; /* stranger::link, owned */
    struct timer *timer;   /* owned; NULL: nothing is left to be looked at */
    int64_t begun_ns;
};

static bool same_key(const struct call_key *a, const struct call_key *b) {
    return a->conn == b->conn && a->offset == b->offset && a->index == b->index;
}

/* It, and the group that it leads if it leads one. */
static void end_group(const struct ending *ending, int signum) {
    (void)kill(-ending->pid, signum);
    if (!ending->reaped)
        (void)kill(ending->pid, signum);
}

/* Has it left, for good? A pid that was not our child's any more has been reaped by somebody. */
static bool has_ended(struct ending *ending) {
    pid_t pid = ending->reaped ? 0 : waitpid(ending->pid, NULL, WNOHANG);

    ending->reaped |= pid == ending->pid || (pid < 0 && errno == ECHILD);
    return ending->reaped &&
           (ending->killed || (kill(-ending->pid, 0) < 0 && errno == ESRCH) || !proc_group_lives(ending->pid));
}

static void drop_record(const struct children *children, const struct ending *ending) {
    struct child_record record = {.pid = (uint64_t)ending->pid};
    struct theseus_error err = {0};

    if (ledger_drop(children->ledger, &child_kind, &record, &err) < 0)
        log_error("the end of a child process could not be recorded: %s", err.message);
}

static void look_at(const struct children *children, struct ending *ending, bool is_late) ON_LOOP {
    if (ending->over)
        return;
    if (is_late && !ending->killed) {
        log_warning("child process %d of a call did not end on SIGTERM, and is killed", (int)ending->pid);
        end_group(ending, SIGKILL);
        ending->killed = true;
    }
    ending->over = has_ended(ending);
    if (ending->over)
        drop_record(children, ending);
    if (ending->over && ending->key.conn > 0 && children_of(children, &ending->key) == CHILDREN_ENDED)
        children->ended(children->arg, &ending->key);
}

static void look(struct children *children) ON_LOOP {
    bool is_late = clock_now_ns() - children->begun_ns >= PATIENCE_MS * INT64_C(1000000), all_over = true;

    list_for_each (link, &children->endings) {
        struct ending *ending = list_entry(link, struct ending, link);
        look_at(children, ending, is_late);
        all_over &= ending->over;
    }
    if (all_over)
        children->timer = timer_free(children->timer);
}

static void on_time(void *arg) {
    loop_enter();
    look(arg);
}

static void watch(struct children *children) ON_LOOP {
    children->timer = timer_new(children->loop, on_time, children);
    timer_start(children->timer, LOOK_MS, LOOK_MS);
}

static struct ending *add(struct children *children, pid_t pid) {
    struct ending *ending = xcalloc(1, sizeof(*ending));

    ending->pid = pid;
    list_append(&children->endings, &ending->link);
    return ending;
}

/* Unless the pid is another's by now. */
static bool is_same(const struct child_record *child) {
    struct theseus_error err = {0};
    uint64_t start_time = 0;

    return proc_start_time((long)child->pid, &start_time, &err) == 0 && start_time == child->start_time;
}

static void begin_one(void *arg, const void *recorded) ON_LOOP {
    const struct child_record *child = recorded;
    struct children *children = arg;
    struct ending *ending = add(children, (pid_t)child->pid);

    ending->key = (struct call_key){child->conn, child->offset, child->index};
    ending->over = !is_same(child);
    if (ending->over)
        drop_record(children, ending);
    else
        end_group(ending, SIGTERM);
}

/* ---- those that write a core ---- */

/* They are known by a counter of their own, whose value is when they were started: it may take them longer than it does
 * until the next exec, and nothing else tells them from a child that tries something out. */
#define CORE_PREFIX "core."
enum { CORE_NAME_BYTES = 32 };

static struct counter_record core_record(char name[static CORE_NAME_BYTES], pid_t pid) {
    (void)snprintf(name, CORE_NAME_BYTES, CORE_PREFIX "%d", (int)pid);
    return (struct counter_record){.name = span_of(name)};
}

static void note_core(const struct children *children, pid_t pid) {
    char name[CORE_NAME_BYTES];
    struct counter_record record = core_record(name, pid);
    struct theseus_error err = {0};

    if (pid <= 0 || proc_start_time((long)pid, &record.value, NULL) < 0)
        return; /* it has ended */
    if (ledger_put(children->ledger, &counter_kind, &record, &err) < 0)
        log_error("that process %d writes a core could not be recorded: %s", (int)pid, err.message);
}

static void read_start(void *arg, const void *record) {
    *(uint64_t *)arg = ((const struct counter_record *)record)->value;
}

bool children_writes_core(struct ledger *ledger, pid_t pid) {
    char name[CORE_NAME_BYTES];
    const struct counter_record record = core_record(name, pid);
    uint64_t recorded = 0, start_time = 0;

    return ledger_find(ledger, &counter_kind, &record, read_start, &recorded) &&
           proc_start_time((long)pid, &start_time, NULL) == 0 && start_time == recorded;
}

struct dropping {
    const struct children *children;
    struct batch batch;
};

static void drop_if_over(void *arg, const void *recorded) {
    const struct counter_record *record = recorded;
    struct dropping *dropping = arg;
    CLEANUP(free) char *name = xstrndup(record->name.data, record->name.len);

    if (strncmp(name, CORE_PREFIX, strlen(CORE_PREFIX)) == 0 &&
        !children_writes_core(dropping->children->ledger, (pid_t)strtol(name + strlen(CORE_PREFIX), NULL, 10)))
        batch_drop(&dropping->batch, &counter_kind, record);
}

static void drop_cores_that_are_over(const struct children *children) {
    struct dropping dropping = {.children = children};
    struct theseus_error err = {0};

    ledger_each(children->ledger, &counter_kind, drop_if_over, &dropping);
    if (dropping.batch.count > 0 && ledger_commit(children->ledger, &dropping.batch, &err) < 0)
        log_error("the end of a process that wrote a core could not be recorded: %s", err.message);
    batch_fini(&dropping.batch);
}

/* ---- those of no call ---- */

static void forget(struct stranger *stranger) ON_LOOP {
    list_remove(&stranger->link);
    stranger->poll = poll_free(stranger->poll);
    if (stranger->fd >= 0)
        (void)close(stranger->fd);
    free(stranger);
}

static void say_of_core(long pid, int status) {
    if (WIFSIGNALED(status) && WCOREDUMP(status))
        log_info("process %ld has written the core", pid);
    else
        log_warning("process %ld has written no core: the system does not want one (core(5))", pid);
}

static void on_stranger_ended(void *arg, int events) {
    struct stranger *stranger = arg;
    int status = 0;

    loop_enter();
    (void)events;
    if (waitpid(stranger->pid, &status, WNOHANG) == stranger->pid && stranger->writes_core) {
        say_of_core(stranger->pid, status);
        drop_cores_that_are_over(stranger->children);
    }
    forget(stranger);
}

bool children_run_ours(pid_t pid) {
    char path[64], own[PATH_MAX], its[PATH_MAX];

    (void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    ssize_t len = readlink("/proc/self/exe", own, sizeof(own)), its_len = readlink(path, its, sizeof(its));
    return len > 0 && len == its_len && memcmp(own, its, (size_t)len) == 0;
}

static void meet(struct children *children, pid_t pid) ON_LOOP {
    struct stranger *stranger = xcalloc(1, sizeof(*stranger));
    struct theseus_error err = {0};

    stranger->children = children;
    stranger->pid = pid;
    stranger->writes_core = children_writes_core(children->ledger, pid);
    list_append(&children->strangers, &stranger->link);
    stranger->fd = -1;
    if (!stranger->writes_core && children_run_ours(pid) && kill(-pid, SIGKILL) < 0)
        (void)kill(pid, SIGKILL);
    if (pidfd_new(pid, &stranger->fd, &err) < 0 ||
        poll_new(&stranger->poll, children->loop, stranger->fd, on_stranger_ended, stranger, &err) < 0) {
        log_warning("child process %d of the image before is not waited for: %s", (int)pid, err.message);
        forget(stranger);
        return;
    }
    poll_want(stranger->poll, POLL_READ);
}

static bool is_of_a_call(const struct children *children, pid_t pid) {
    list_for_each (link, &children->endings)
        if (list_entry(link, struct ending, link)->pid == pid)
            return true;
    return false;
}

/* A kernel that keeps no list of children has none to meet. */
static void meet_all(struct children *children) ON_LOOP {
    FILE *list = fopen("/proc/thread-self/children", "re");
    int pid;

    while (list && fscanf(list, "%d", &pid) == 1)
        if (!is_of_a_call(children, pid))
            meet(children, pid);
    if (list)
        (void)fclose(list);
}

/* ---- life ---- */

struct children *children_new(struct ledger *ledger, struct loop *loop, long core_pid, children_ended_fn *ended,
                              void *arg) {
    struct children *children = xcalloc(1, sizeof(*children));

    *children = (struct children){.ledger = ledger, .loop = loop, .ended = ended, .arg = arg};
    children->begun_ns = clock_now_ns();
    list_init(&children->endings);
    list_init(&children->strangers);
    ledger_each(ledger, &child_kind, begin_one, children);
    note_core(children, (pid_t)core_pid);
    meet_all(children);
    drop_cores_that_are_over(children);
    if (!list_empty(&children->endings))
        watch(children);
    return children;
}

struct children *children_free(struct children *children) {
    if (!children)
        return NULL;
    children->timer = timer_free(children->timer);
    list_for_each (link, &children->endings) {
        struct ending *ending = list_entry(link, struct ending, link);
        if (!ending->over)
            end_group(ending, SIGKILL);
        list_remove(link);
        free(ending);
    }
    list_for_each (link, &children->strangers) {
        struct stranger *stranger = list_entry(link, struct stranger, link);
        if (stranger->writes_core)
            log_info("process %d is left to itself: it still writes a core", (int)stranger->pid);
        forget(stranger);
    }
    free(children);
    return NULL;
}

int children_of(const struct children *children, const struct call_key *key) {
    int found = CHILDREN_NONE;

    list_for_each (link, &children->endings) {
        const struct ending *ending = list_entry(link, struct ending, link);
        if (!same_key(&ending->key, key))
            continue;
        if (!ending->over)
            return CHILDREN_ALIVE;
        found = CHILDREN_ENDED;
    }
    return found;
}
