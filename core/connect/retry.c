#include "connect/retry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fs.h"
#include "base/log.h"
#include "loop/dirnotify.h"
#include "loop/timer.h"

enum { STIR_MS = 20 }; /* a socket that has just been made is listened to soon */

struct retry {
    struct loop *loop;
    struct dirnotify *notify; /* owned; NULL: the system has none left, and the steps alone have to do */
    bool watches;             /* the socket's directory, which may not be there yet */
    struct timer *timer;      /* owned */
    char *path;               /* owned */
    loop_fn *fn;
    void *arg;
    int64_t step_ms;    /* 0: the first try */
    int64_t shortly_ms; /* likewise */
    bool runs;
};

int64_t retry_step_ms(int64_t before) {
    if (before == 0)
        return RETRY_FIRST_MS;
    return before * 2 < RETRY_MOST_MS ? before * 2 : RETRY_MOST_MS;
}

/* From a half of it to all of it. */
static int64_t with_chance(int64_t ms) {
    uint16_t chance = 0;

    if (getentropy(&chance, sizeof(chance)) < 0)
        return ms;
    return ms / 2 + ms * chance / (2 * UINT16_MAX);
}

static void on_time(void *arg) {
    struct retry *retry = arg;

    loop_enter();
    if (retry->runs)
        retry->fn(retry->arg);
}

static void on_stir(void *arg, int wd, enum dir_event event, const char *name) {
    struct retry *retry = arg;

    loop_enter();
    (void)wd;
    if (event == DIR_GONE)
        retry->watches = false;
    if (retry->runs && (event == DIR_MADE || event == DIR_TOUCHED) && name && strcmp(name, path_base(retry->path)) == 0)
        timer_start(retry->timer, with_chance(STIR_MS), 0);
}

static void watch_dir_of(struct retry *retry) ON_LOOP {
    CLEANUP(free) char *dir = path_dir(retry->path);

    if (retry->notify && !retry->watches)
        retry->watches = dirnotify_add(retry->notify, dir) >= 0;
}

struct retry *retry_new(struct loop *loop, const char *path, loop_fn *fn, void *arg) {
    struct retry *retry = xcalloc(1, sizeof(*retry));
    struct theseus_error err = {0};

    retry->loop = loop;
    retry->path = xstrdup(path);
    retry->fn = fn;
    retry->arg = arg;
    retry->timer = timer_new(loop, on_time, retry);
    if (dirnotify_new(&retry->notify, loop, on_stir, retry, &err) < 0)
        log_warning("a server that comes is noticed late: %s", err.message);
    return retry;
}

struct retry *retry_free(struct retry *retry) {
    if (!retry)
        return NULL;
    retry->notify = dirnotify_free(retry->notify);
    retry->timer = timer_free(retry->timer);
    free(retry->path);
    free(retry);
    return NULL;
}

void retry_soon(struct retry *retry) {
    retry->runs = true;
    retry->step_ms = retry->shortly_ms = 0;
    timer_start(retry->timer, 0, 0);
}

void retry_failed(struct retry *retry) {
    watch_dir_of(retry);
    retry->runs = true;
    retry->step_ms = retry_step_ms(retry->step_ms);
    timer_start(retry->timer, with_chance(retry->step_ms), 0);
}

void retry_shortly(struct retry *retry) {
    int64_t before = retry->shortly_ms;

    if (before >= RETRY_FIRST_MS) {
        retry_failed(retry);
        return;
    }
    watch_dir_of(retry);
    retry->runs = true;
    retry->step_ms = 0;
    retry->shortly_ms = before == 0 ? STIR_MS : 2 * before;
    timer_start(retry->timer, with_chance(retry->shortly_ms), 0);
}

void retry_rest(struct retry *retry) {
    retry->runs = false;
    retry->step_ms = retry->shortly_ms = 0;
    timer_stop(retry->timer);
}

bool retry_runs(const struct retry *retry) {
    return retry->runs;
}
