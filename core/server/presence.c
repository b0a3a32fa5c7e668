#include "server/presence.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "loop/lane.h"
#include "loop/timer.h"
#include "server/signs.h"

enum {
    FIRST_MS = 1000,  /* many servers do not live longer */
    SOON_MS = 200,    /* several changes are one */
    LAZY_MS = 1000,   /* clients come by the hundred */
    EVERY_MS = 15000, /* numbers grow without telling */
    WRITE_LIMIT_MS = 10000,
};

/* A file that is to be written. */
struct page {
    char *path, *text; /* owned; text NULL: not to be written now */
    mode_t mode;
    struct theseus_error err;
};

struct presence {
    struct lane *lane;
    presence_describe_fn *describe;
    void *arg;
    char *dir;           /* owned */
    struct timer *timer; /* owned */
    presence_render_fn *render;
    struct page sign, metrics;
    struct lane_job job;
    int within_ms; /* there is something new to say, by then; 0: there is not */
    bool begun, runs, again, warned;
    bool young;   /* the first one is not due yet */
    bool removed; /* also what a job that still runs is about to write */
};

static void write_page(struct page *page) {
    page->err = (struct theseus_error){0};
    if (page->text)
        (void)!fs_replace_file(page->path, span_of(page->text), page->mode, &page->err);
}

static void run(void *arg) {
    struct presence *presence = container_of((struct lane_job *)arg, struct presence, job);

    presence->sign.err = (struct theseus_error){0};
    if (fs_make_private_dir(presence->dir, &presence->sign.err) == 0)
        write_page(&presence->sign);
    write_page(&presence->metrics);
}

static void report(struct presence *presence, const struct page *page) ON_LOOP {
    if (page->err.code && !presence->warned)
        log_warning("others cannot see how this server is: %s", page->err.message);
    presence->warned |= page->err.code != 0;
}

static void on_written(struct presence *presence) ON_LOOP {
    presence->runs = false;
    report(presence, &presence->sign);
    report(presence, &presence->metrics);
    presence->within_ms = presence->again ? SOON_MS : 0;
    if (presence->begun)
        timer_start(presence->timer, presence->again ? SOON_MS : EVERY_MS, 0);
    presence->again = false;
}

static void on_done(struct lane_job *job, bool timed_out) {
    loop_enter();
    if (!timed_out) /* else it is still at it: nothing more is written before it has come back */
        on_written(container_of(job, struct presence, job));
}

static void on_late(struct lane_job *job) {
    loop_enter();
    on_written(container_of(job, struct presence, job));
}

static void on_time(void *arg) {
    struct presence *presence = arg;

    loop_enter();
    presence->young = false;
    presence->within_ms = 0;
    json_auto_t *description = presence->describe(presence->arg);
    free(presence->sign.text);
    presence->sign.text = description ? json_dumps(description, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    free(TAKE_PTR(presence->metrics.text));
    if (description && presence->metrics.path)
        presence->metrics.text = presence->render(description);
    presence->runs = true;
    presence->job = (struct lane_job){.run = run, .done = on_done, .late = on_late, .limit_ms = WRITE_LIMIT_MS};
    lane_submit(presence->lane, &presence->job);
}

/* What comes again and again puts nothing off. */
static void touch(struct presence *presence, int within_ms) ON_LOOP {
    if (!presence->begun || presence->young)
        return;
    if (presence->runs)
        presence->again = true;
    else if (presence->within_ms == 0 || presence->within_ms > within_ms)
        timer_start(presence->timer, presence->within_ms = within_ms, 0);
}

void presence_touch(struct presence *presence) {
    touch(presence, SOON_MS);
}

void presence_touch_lazily(struct presence *presence) {
    touch(presence, LAZY_MS);
}

void presence_begin(struct presence *presence, bool is_new) {
    if (is_new && !presence->begun) {
        presence->young = true;
        timer_start(presence->timer, FIRST_MS, 0);
    }
    presence->begun = true;
    presence_touch(presence);
}

void presence_also(struct presence *presence, const char *path, presence_render_fn *render) {
    if (presence->runs)
        return; /* the next time that it is said */
    free(presence->metrics.path);
    presence->metrics.path = path && path[0] ? xstrdup(path) : NULL;
    presence->render = render;
    presence_touch(presence);
}

void presence_end(struct presence *presence) {
    presence->begun = presence->young = false;
    presence->within_ms = 0;
    timer_stop(presence->timer);
}

void presence_remove(struct presence *presence) {
    presence->removed = presence->begun;
    presence_end(presence);
    if (presence->removed)
        (void)unlink(presence->sign.path);
}

struct presence *presence_new(struct loop *loop, struct lane *lane, const char *runtime_dir,
                              presence_describe_fn *describe, void *arg) {
    struct presence *presence = xcalloc(1, sizeof(*presence));

    presence->lane = lane;
    presence->describe = describe;
    presence->arg = arg;
    presence->dir = signs_dir(runtime_dir);
    presence->sign = (struct page){.path = sign_path(presence->dir, getpid()), .mode = 0600};
    presence->metrics.mode = 0644; /* the collector is another user */
    presence->timer = timer_new(loop, on_time, presence);
    return presence;
}

struct presence *presence_free(struct presence *presence) {
    if (!presence)
        return NULL;
    presence->timer = timer_free(presence->timer);
    if (presence->removed)
        (void)unlink(presence->sign.path);
    free(presence->sign.path);
    free(presence->sign.text);
    free(presence->metrics.path);
    free(presence->metrics.text);
    free(presence->dir);
    free(presence);
    return NULL;
}
