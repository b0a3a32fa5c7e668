/*
 * `theseus backup FILE` and `theseus restore FILE`: the database, with the files beside it, in one file. Both work on
 * the files alone; no server is asked, and none is started.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "server/commands.h"
#include "store/archive.h"
#include "store/audit.h"
#include "store/store.h"

static int report(const struct theseus_error *err) {
    (void)fprintf(stderr, "theseus: %s\n", err->message);
    return 1;
}

/* Into the audit of the database that is there now: the health check tells of the last one. */
static int note(const char *state_dir, const char *action, const char *file, const char *detail,
                struct theseus_error *err) {
    CLEANUP(free) char *path = path_join(state_dir, "theseus.db");
    CLEANUP(free) char *target = path_absolute(".", file);
    CLEANUP(store_free) struct store *store = store_new(path);
    struct audit_line line = {
        .at_ms = clock_wall_ms(),
        .by = {.name = "theseus", .version = THESEUS_VERSION, .transport = "command", .uid = (int64_t)getuid()},
        .action = action,
        .target = target,
        .result = "done",
        .detail = detail};

    return audit_add(store, &line, err) == 0 ? 0 : error_prefix(err, "it is done, but could not be noted: ");
}

/* Done, but: an artifact is missing, or not what it was. */
static void on_artifact(void *arg, const char *text) {
    (*(int *)arg)++;
    (void)fprintf(stderr, "theseus: %s\n", text);
}

int command_backup(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(config_free) struct config *config = NULL;
    struct theseus_error err = {0};
    int faults = 0;
    const struct artifacts_listener listener = {.tell = on_artifact, .arg = &faults};

    (void)program;
    if (config_load(&config, source, NULL, NULL, &err) < 0 ||
        archive_write(config->server.state_dir, args->rest[0], &listener, &err) < 0 ||
        note(config->server.state_dir, "backup", args->rest[0], NULL, &err) < 0)
        return report(&err);
    (void)printf("%s holds the database of %s and its artifacts as they are now; `theseus restore` puts them back\n",
                 args->rest[0], config->server.state_dir);
    return faults > 0;
}

int command_restore(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(config_free) struct config *config = NULL;
    CLEANUP(free) char *aside = NULL;
    struct theseus_error err = {0};
    int faults = 0;
    const struct artifacts_listener listener = {.tell = on_artifact, .arg = &faults};

    (void)program;
    if (config_load(&config, source, NULL, NULL, &err) < 0 ||
        archive_restore(config->server.state_dir, args->rest[0], &listener, &aside, &err) < 0 ||
        note(config->server.state_dir, "restore", args->rest[0], aside, &err) < 0)
        return report(&err);
    (void)printf("%s is the database of %s now\n", args->rest[0], config->server.state_dir);
    if (aside)
        (void)printf("what was there is kept as %s\n", aside);
    return faults > 0;
}
