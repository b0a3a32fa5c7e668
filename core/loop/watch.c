/*
 * Three sources lead to one queue of names that settle: events of the directory itself, events of the directory in
 * which a missing one (or its symbolic link) is awaited, and a look at everything now and then. Nothing is reported but
 * from that queue, so a callback may do to the watch whatever it likes.
 */
#include "loop/watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/timer.h"
#include "loop/watch_dir.h"

enum {
    WATCH_LOOK_MS = 2000,
    WATCH_LOOK_COST = 500, /* a look that is slow comes less often: at most one part in so many of the time */
};

struct watch {
    struct loop *loop;
    struct dirnotify *notify; /* NULL: the system has none left */
    struct settle *settle;
    struct timer *look;
    struct list dirs; /* watch_dir::link, owned */
    watch_fn *fn;
    void *arg;
};

static bool id_is_used(const struct watch *watch, int id) {
    list_for_each (link, &watch->dirs) {
        const struct watch_dir *dir = list_entry(link, struct watch_dir, link);
        if (dir->id == id || dir->outer_id == id)
            return true;
    }
    return false;
}

static void drop_id(struct watch *watch, int id) ON_LOOP;

static void drop_id(struct watch *watch, int id) {
    if (id >= 0 && watch->notify && !id_is_used(watch, id))
        dirnotify_remove(watch->notify, id);
}

static void relocate(struct watch *watch, struct watch_dir *dir) ON_LOOP;

static void relocate(struct watch *watch, struct watch_dir *dir) {
    int old_id = dir->id, old_outer_id = dir->outer_id;

    if (watch_dir_locate(dir, watch->notify))
        settle_touch(watch->settle, &dir->whole.item);
    drop_id(watch, old_id);
    drop_id(watch, old_outer_id);
}

static void on_name(struct watch *watch, struct watch_dir *dir, enum dir_event event, const char *name) ON_LOOP;

static void on_name(struct watch *watch, struct watch_dir *dir, enum dir_event event, const char *name) {
    struct watch_file *file = watch_dir_file(dir, name);

    if (event == DIR_TOUCHED || (event == DIR_MADE && watch_dir_is_link(dir, name))) {
        file->writes_ms = 0;
        settle_touch(watch->settle, &file->item);
        return;
    }
    file->writes_ms = loop_now_ms(watch->loop);
    if (settle_has(&file->item))
        settle_touch(watch->settle, &file->item);
}

static void on_gone(struct watch *watch, int id) ON_LOOP;

static void on_gone(struct watch *watch, int id) {
    dirnotify_remove(watch->notify, id);
    list_for_each (link, &watch->dirs) {
        struct watch_dir *dir = list_entry(link, struct watch_dir, link);
        bool concerned = dir->id == id || dir->outer_id == id;
        dir->id = dir->id == id ? -1 : dir->id;
        dir->outer_id = dir->outer_id == id ? -1 : dir->outer_id;
        if (concerned)
            relocate(watch, dir);
    }
}

static void on_lost(struct watch *watch) ON_LOOP;

static void on_lost(struct watch *watch) {
    log_info("events about files were lost; looking at every directory");
    list_for_each (link, &watch->dirs) {
        struct watch_dir *dir = list_entry(link, struct watch_dir, link);
        relocate(watch, dir);
        settle_touch(watch->settle, &dir->whole.item);
    }
}

static void watch_on_event(void *arg, int id, enum dir_event event, const char *name) {
    struct watch *watch = arg;

    loop_enter();
    if (event == DIR_LOST) {
        on_lost(watch);
        return;
    }
    if (event == DIR_GONE) {
        on_gone(watch, id);
        return;
    }
    drop_id(watch, id); /* a place that was tried while directories came and went */
    list_for_each (link, &watch->dirs) {
        struct watch_dir *dir = list_entry(link, struct watch_dir, link);
        if (dir->id == id && event == DIR_ITSELF)
            settle_touch(watch->settle, &dir->whole.item);
        else if (dir->id == id && event != DIR_SUBDIR)
            on_name(watch, dir, event, name);
        if (dir->outer_id == id && name && dir->awaited && strcmp(name, dir->awaited) == 0)
            relocate(watch, dir);
    }
}

/* The last line may free the watch, the directory and the file. */
static void watch_on_settled(void *arg, struct settle_item *item) {
    struct watch *watch = arg;
    struct watch_file *file = container_of(item, struct watch_file, item);
    CLEANUP(free) char *path = xstrdup(file->dir->path);
    CLEANUP(free) char *name = file->name ? xstrdup(file->name) : NULL;

    loop_enter();
    /* Noted before it is told: what changes from here on is a change. */
    if (name)
        watch_dir_refresh(file->dir, file);
    else
        (void)watch_dir_look(file->dir, loop_now_ms(watch->loop));
    watch->fn(watch->arg, path, name);
}

static void watch_on_look(void *arg) {
    struct watch *watch = arg;
    int64_t begun_ns = clock_now_ns();

    loop_enter();
    list_for_each (link, &watch->dirs) {
        struct watch_dir *dir = list_entry(link, struct watch_dir, link);
        relocate(watch, dir);
        if (watch_dir_look(dir, loop_now_ms(watch->loop)) && !settle_has(&dir->whole.item))
            settle_touch(watch->settle, &dir->whole.item);
    }
    int64_t rest_ms = (clock_now_ns() - begun_ns) / 1000000 * WATCH_LOOK_COST;
    timer_start(watch->look, rest_ms > WATCH_LOOK_MS ? rest_ms : WATCH_LOOK_MS, 0);
}

struct watch *watch_new(struct loop *loop, int64_t settle_ms, watch_fn *fn, void *arg) {
    struct watch *watch = xcalloc(1, sizeof(*watch));
    struct theseus_error err = {0};

    watch->loop = loop;
    watch->fn = fn;
    watch->arg = arg;
    list_init(&watch->dirs);
    watch->settle = settle_new(loop, settle_ms, watch_on_settled, watch);
    watch->look = timer_new(loop, watch_on_look, watch);
    if (dirnotify_new(&watch->notify, loop, watch_on_event, watch, &err) < 0)
        log_warning("%s; looking for changes every %d s instead", err.message, WATCH_LOOK_MS / 1000);
    return watch;
}

struct watch *watch_free(struct watch *watch) {
    if (!watch)
        return NULL;
    watch->notify = dirnotify_free(watch->notify);
    list_for_each (link, &watch->dirs)
        (void)watch_dir_free(list_entry(link, struct watch_dir, link));
    watch->look = timer_free(watch->look);
    watch->settle = settle_free(watch->settle);
    free(watch);
    return NULL;
}

static struct watch_dir *find(const struct watch *watch, const char *path) {
    list_for_each (link, &watch->dirs) {
        struct watch_dir *dir = list_entry(link, struct watch_dir, link);
        if (strcmp(dir->path, path) == 0)
            return dir;
    }
    return NULL;
}

int watch_add_dir(struct watch *watch, const char *path, struct theseus_error *err) {
    struct stat st;

    if (!*path)
        return fail(err, ERR_INVALID, "an empty path cannot be watched");
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return fail(err, ERR_INVALID, "'%s' is not a directory", path);
    if (find(watch, path))
        return 0;
    struct watch_dir *dir = watch_dir_new(path);
    if (list_empty(&watch->dirs))
        timer_start(watch->look, WATCH_LOOK_MS, 0);
    list_append(&watch->dirs, &dir->link);
    (void)watch_dir_locate(dir, watch->notify);
    (void)watch_dir_look(dir, loop_now_ms(watch->loop));
    return 0;
}

void watch_remove_dir(struct watch *watch, const char *path) {
    struct watch_dir *dir = find(watch, path);

    if (!dir)
        return;
    int id = dir->id, outer_id = dir->outer_id;
    (void)watch_dir_free(dir);
    drop_id(watch, id);
    drop_id(watch, outer_id);
    if (list_empty(&watch->dirs))
        timer_stop(watch->look);
}

void watch_set_settle(struct watch *watch, int64_t settle_ms) {
    settle_set_quiet(watch->settle, settle_ms);
}
