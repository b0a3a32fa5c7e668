/* A plugin floor on which a newer version waits for its schema to be migrated, and the migration of all that comes. */
#pragma once

#include "plugin/floor.h"
#include "store/migrate.h"

static int outdated_told;

static inline void on_outdated(void *arg) {
    (void)arg;
    outdated_told++;
}

static inline void floor_rescan(struct floor *floor) {
    loop_enter();
    plugins_rescan(floor->plugins);
    floor_be_idle(floor);
}

/* `fixtures` serve, "database" with a value under "a"; then `newer` is put in place of `file`. */
static inline struct floor *floor_proposing(const char *const *fixtures, const char *newer, const char *file) {
    struct floor *floor = floor_new(fixtures, "watch = no\n", 1);

    outdated_told = 0;
    floor->host.outdated = on_outdated;
    floor_load(floor);
    floor_end(floor, floor_call(floor, "db_put", "{\"key\":\"a\",\"value\":\"1\"}"));
    floor_drop_in(floor, newer, file);
    floor_rescan(floor);
    return floor;
}

struct mustered {
    struct floor *floor;
    struct store_steps *schemas;
    size_t count;
    struct theseus_error err;
    bool told;
};

static inline void on_mustered(void *arg, struct store_steps *schemas, size_t count, const struct theseus_error *err) {
    struct mustered *mustered = arg;

    assert_false(mustered->told);
    mustered->told = true;
    mustered->schemas = schemas;
    mustered->count = count;
    mustered->err = err ? *err : (struct theseus_error){0};
}

/* What the server does with it: all that is pending is applied, then the plugins are started. */
static inline void floor_muster(struct floor *floor, struct theseus_error *err) {
    struct loop_task task = {.run = floor_on_told, .arg = floor};
    struct mustered mustered = {.floor = floor};

    loop_enter();
    floor->told = false;
    plugins_muster(floor->plugins, on_mustered, &mustered);
    plugins_restore(floor->plugins, &task);
    until(floor->owner->loop, mustered.told);
    json_auto_t *none = plugins_generations_new(floor->plugins);
    assert_int_equal(json_object_size(none), 0); /* nothing was started */
    const struct migration migration = {.parts = mustered.schemas, .count = mustered.count};
    *err = mustered.err;
    if (err->code == ERR_UNSET)
        (void)!store_migrate_all(floor->host.store, &migration, err);
    plugins_start(floor->plugins, mustered.schemas, mustered.count, "/somewhere");
    free(mustered.schemas);
    until(floor->owner->loop, floor->told);
}
