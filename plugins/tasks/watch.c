#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "file.h"
#include "resource.h"
#include "sql.h"
#include "tasks.h"

#define STATE_KEY "watched"

enum {
    LOOK_MS = 200,  /* how often it is asked whether another process has written */
    PAUSE_MS = 20,  /* between two looks, however often this one writes … */
    PAUSE_SHARE = 4 /* … and so many times as long as the last one took */
};

struct watch {
    struct tasks *tasks;
    atomic_uint_fast64_t commits; /* of this process, twice; odd while one is under way */
    atomic_size_t count;          /* of `uris` */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    json_t *uris; /* owned: URI → commits when it came to be watched */
    bool asked;   /* something has come or gone, or was committed, since the last look */
    bool stopping;
    int thread; /* -1: not started */
    /* of the thread alone */
    json_t *known;      /* owned: URI → hash of what was read under it; "" for nothing */
    int64_t version;    /* of the database at the last look; -1: there was none */
    int64_t not_before; /* ms */
    bool complained;
};

static void watch_main(void *arg);

static int64_t now_ms(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct watch *watch_new(struct tasks *tasks) {
    struct watch *watch = calloc(1, sizeof(*watch));
    pthread_condattr_t monotonic;

    if (!watch)
        return NULL;
    watch->tasks = tasks;
    watch->thread = -1;
    watch->version = -1;
    watch->uris = json_object();
    (void)pthread_mutex_init(&watch->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&watch->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return watch;
}

struct watch *watch_free(struct watch *watch) {
    if (!watch)
        return NULL;
    (void)pthread_mutex_lock(&watch->mutex);
    watch->stopping = true;
    (void)pthread_cond_signal(&watch->wake);
    (void)pthread_mutex_unlock(&watch->mutex);
    if (watch->thread >= 0)
        theseus_thread_join(watch->tasks->ctx, watch->thread);
    (void)pthread_cond_destroy(&watch->wake);
    (void)pthread_mutex_destroy(&watch->mutex);
    json_decref(watch->uris);
    json_decref(watch->known);
    free(watch);
    return NULL;
}

/* With the mutex. */
static void ask(struct watch *watch) {
    watch->asked = true;
    (void)pthread_cond_signal(&watch->wake);
}

static void start(struct watch *watch) {
    if (watch->thread < 0)
        watch->thread = theseus_thread(watch->tasks->ctx, watch_main, watch);
    if (watch->thread < 0)
        theseus_ctx_log(watch->tasks->ctx, THESEUS_WARNING, "subscribers are told of no change: there is no thread");
}

void watch_set(struct watch *watch, const char *uri, bool on) {
    (void)pthread_mutex_lock(&watch->mutex);
    if (on)
        (void)json_object_set_new(watch->uris, uri, json_integer((json_int_t)atomic_load(&watch->commits)));
    else
        (void)json_object_del(watch->uris, uri);
    atomic_store(&watch->count, json_object_size(watch->uris));
    if (on)
        start(watch);
    ask(watch);
    (void)pthread_mutex_unlock(&watch->mutex);
}

void watch_committing(struct watch *watch) {
    (void)atomic_fetch_add(&watch->commits, 1);
}

void watch_committed(struct watch *watch) {
    (void)atomic_fetch_add(&watch->commits, 1);
    if (atomic_load(&watch->count) == 0)
        return;
    (void)pthread_mutex_lock(&watch->mutex);
    ask(watch);
    (void)pthread_mutex_unlock(&watch->mutex);
}

/* ---- what is there ---- */

static int hash_now(struct work *work, const char *uri, char hash[static HASH_TEXT]) {
    json_t *value = NULL;
    int r = resource_read(work, uri, &value);
    CLEANUP(memory_free) char *text = r == 0 ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

    json_decref(value);
    hash[0] = '\0';
    if (r == RESOURCE_NONE)
        return 0;
    if (r == 0 && !text)
        return work_no_memory(work);
    if (r == 0)
        file_hash(text, strlen(text), hash);
    return r;
}

/* ---- looking ---- */

struct look {
    struct watch *watch;
    struct work work;
    json_t *uris, *known; /* owned: what is watched, and what there is of it now */
    bool changed;         /* what is known */
};

/* Has this process written since it came to be watched, or just then? Perhaps it was this. */
static bool is_uncertain(const struct watch *watch, const json_t *since) {
    uint64_t then = (uint64_t)json_integer_value(since);

    return then % 2 != 0 || then != atomic_load(&watch->commits);
}

static int look_at(struct look *look, const char *uri, const json_t *since) {
    const char *before = json_string_value(json_object_get(look->watch->known, uri));
    char hash[HASH_TEXT];

    if (hash_now(&look->work, uri, hash) < 0)
        return -1;
    if (before ? strcmp(before, hash) != 0 : is_uncertain(look->watch, since))
        (void)theseus_resource_changed(look->watch->tasks->ctx, uri);
    look->changed = look->changed || !before || strcmp(before, hash) != 0;
    return json_object_set_new(look->known, uri, json_string(hash)) < 0 ? work_no_memory(&look->work) : 0;
}

static int look_at_all(struct look *look) {
    struct work closing = {.tasks = look->work.tasks};
    const json_t *since;
    const char *uri;
    int r = sql_run(&look->work, "BEGIN", "");

    json_object_foreach (look->uris, uri, since)
        if (r == 0)
            r = look_at(look, uri, since);
    (void)sql_run(&closing, "ROLLBACK", ""); /* there is nothing to keep */
    return r;
}

/* Only what is watched is known from here on. */
static void learn(struct look *look) {
    struct watch *watch = look->watch;
    bool forgets = json_object_size(watch->known) != json_object_size(look->known);

    if (look->changed || forgets)
        (void)theseus_state_put(watch->tasks->ctx, STATE_KEY,
                                json_object_size(look->known) ? json_deep_copy(look->known) : json_null());
    json_decref(watch->known);
    watch->known = json_incref(look->known);
}

static bool has_news(struct look *look, int64_t version) {
    const char *uri;
    const json_t *since;

    if (version != look->watch->version)
        return true;
    json_object_foreach (look->uris, uri, since)
        if (!json_object_get(look->watch->known, uri))
            return true;
    return json_object_size(look->uris) != json_object_size(look->watch->known);
}

/* Every commit on another connection, of whichever process, gives the database another version. */
static int look_again(struct look *look) {
    int64_t version = 0;

    if (sql_number(&look->work, 0, &version, "PRAGMA data_version", "") < 0)
        return -1;
    if (!has_news(look, version))
        return 0;
    if (look_at_all(look) < 0)
        return -1;
    learn(look);
    look->watch->version = version;
    return 0;
}

/* Said once; it is tried again. */
static void complain(struct watch *watch, const char *why) {
    if (!watch->complained)
        theseus_ctx_log(watch->tasks->ctx, THESEUS_WARNING, "subscribers are told of no change: %s", why);
    watch->complained = true;
}

static void look(struct watch *watch, json_t *uris) {
    int64_t began = now_ms();
    struct look look = {
        .watch = watch, .work = {.tasks = watch->tasks, .now = clock_now()}, .uris = uris, .known = json_object()};

    if (look_again(&look) < 0)
        complain(watch, look.work.err.message);
    else
        watch->complained = false;
    work_reset(&look.work);
    text_fini(&look.work.text);
    json_decref(look.known);
    int64_t pause = PAUSE_SHARE * (now_ms() - began);
    watch->not_before = now_ms() + (pause > PAUSE_MS ? pause : PAUSE_MS);
}

/* ---- the thread ---- */

static struct timespec time_of(int64_t ms) {
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

/* With the mutex. Another process is asked after now and then, and only while somebody wants to know. */
static void wait_for_reason(struct watch *watch) {
    const struct timespec at = time_of(now_ms() + LOOK_MS);

    while (!watch->stopping && !watch->asked) {
        if (json_object_size(watch->uris) == 0)
            (void)pthread_cond_wait(&watch->wake, &watch->mutex);
        else if (pthread_cond_timedwait(&watch->wake, &watch->mutex, &at) == ETIMEDOUT)
            return;
    }
}

static void wait_for_pause(struct watch *watch) {
    const struct timespec at = time_of(watch->not_before);

    while (!watch->stopping && now_ms() < watch->not_before)
        if (pthread_cond_timedwait(&watch->wake, &watch->mutex, &at) == ETIMEDOUT)
            return;
}

/* What is to be looked at; new reference. NULL: it is over. */
static json_t *wait(struct watch *watch) {
    (void)pthread_mutex_lock(&watch->mutex);
    wait_for_reason(watch);
    wait_for_pause(watch);
    watch->asked = false;
    json_t *uris = watch->stopping ? NULL : json_deep_copy(watch->uris);
    (void)pthread_mutex_unlock(&watch->mutex);
    return uris;
}

static void watch_main(void *arg) {
    struct watch *watch = arg;
    json_t *uris;

    watch->known = theseus_state_get(watch->tasks->ctx, STATE_KEY);
    if (!json_is_object(watch->known)) {
        json_decref(watch->known);
        watch->known = json_object();
    }
    while ((uris = wait(watch))) {
        look(watch, uris);
        json_decref(uris);
    }
}
