#include "loop/watch_binary.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/binary.h"
#include "base/fs.h"
#include "loop/watch.h"

struct watch_binary {
    struct watch *watch; /* owned */
    char *path;          /* owned */
    struct stat running;
    watch_binary_fn *fn;
    void *arg;
};

/* A file that is missing is between its old and its new version. */
void watch_binary_look(struct watch_binary *watch) {
    struct stat now;

    if (stat(watch->path, &now) == 0 && !binary_is_same(&now, &watch->running))
        watch->fn(watch->arg);
}

static void on_change(void *arg, const char *dir, const char *name) {
    struct watch_binary *watch = arg;

    loop_enter();
    (void)dir;
    if (!name || strcmp(name, path_base(watch->path)) == 0)
        watch_binary_look(watch);
}

int watch_binary_new(struct watch_binary **ret_watch, struct loop *loop, const char *path, const struct stat *running,
                     int64_t settle_ms, watch_binary_fn *fn, void *arg, struct theseus_error *err) {
    CLEANUP(watch_binary_free) struct watch_binary *watch = xcalloc(1, sizeof(*watch));
    CLEANUP(free) char *dir = path_dir(path);

    watch->path = xstrdup(path);
    watch->running = *running;
    watch->fn = fn;
    watch->arg = arg;
    watch->watch = watch_new(loop, settle_ms, on_change, watch);
    if (watch_add_dir(watch->watch, dir, err) < 0)
        return error_prefix(err, "'%s' cannot be watched: ", path);
    *ret_watch = TAKE_PTR(watch);
    return 0;
}

struct watch_binary *watch_binary_free(struct watch_binary *watch) {
    if (!watch)
        return NULL;
    watch->watch = watch_free(watch->watch);
    free(watch->path);
    free(watch);
    return NULL;
}

void watch_binary_set_settle(struct watch_binary *watch, int64_t settle_ms) {
    watch_set_settle(watch->watch, settle_ms);
}
