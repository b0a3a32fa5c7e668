/*
 * `theseus backup FILE` and `theseus restore FILE`: the database, with the files beside it, in one file. Both work on
 * the files alone; no server is asked, and none is started.
 */
#include <stdlib.h>

#include "server/commands.h"
#include "store/archive.h"

static int report(const struct theseus_error *err) {
    (void)fprintf(stderr, "theseus: %s\n", err->message);
    return 1;
}

int command_backup(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(config_free) struct config *config = NULL;
    struct theseus_error err = {0};

    (void)program;
    if (config_load(&config, source, NULL, NULL, &err) < 0 ||
        archive_write(config->server.state_dir, args->rest[0], &err) < 0)
        return report(&err);
    (void)printf("%s holds the database of %s as it is now; `theseus restore` puts it back\n", args->rest[0],
                 config->server.state_dir);
    return 0;
}

int command_restore(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(config_free) struct config *config = NULL;
    CLEANUP(free) char *aside = NULL;
    struct theseus_error err = {0};

    (void)program;
    if (config_load(&config, source, NULL, NULL, &err) < 0 ||
        archive_restore(config->server.state_dir, args->rest[0], &aside, &err) < 0)
        return report(&err);
    (void)printf("%s is the database of %s now\n", args->rest[0], config->server.state_dir);
    if (aside)
        (void)printf("the one before is kept as %s\n", aside);
    return 0;
}
