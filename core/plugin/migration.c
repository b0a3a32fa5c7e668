#include "plugin/migration.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/generation.h"
#include "plugin/host.h"
#include "store/migrate.h"
#include "store/upgrade.h"

/* To whoever files the refusal, the database's kind of failure means another thing. */
static int refused(struct theseus_error *err) {
    err->code = ERR_INTERNAL;
    return error_prefix(err, "migrations: ");
}

static int known_steps(const struct generation *generation) {
    const char *const *steps = generation->slots.migrations;
    int count = 0;

    while (steps && steps[count])
        count++;
    return count;
}

/* It has tables, and they are older ones. */
static bool is_a_restarts(const struct generation *generation, int pending) {
    const struct plugin_host *host = generation->host;

    return pending > 0 && pending < known_steps(generation) && host->outdated && !host->rehearsal;
}

/* Is what the test-load has found enough? All steps, which never become fewer; or none, where that is looked at again
 * when the tables are made. */
static bool is_found(const struct generation *generation) {
    return generation->schema == known_steps(generation) ||
           (generation->schema == 0 && (generation->slots.flags & THESEUS_SCHEMA_ON_USE));
}

static int find_pending(struct generation *generation, int *ret_pending, struct theseus_error *err) {
    *ret_pending = 0;
    generation->outdated = false;
    if (!generation->slots.migrations || atomic_load(&generation->awaits_schema))
        return 0;
    if (is_found(generation)) {
        *ret_pending = known_steps(generation) - generation->schema;
        return 0;
    }
    if (store_pending(generation->host->store, generation->name, generation->slots.migrations, ret_pending, err) < 0)
        return -1;
    generation->outdated = is_a_restarts(generation, *ret_pending);
    return 0;
}

int migration_look(struct generation *generation, struct theseus_error *err) {
    int pending = 0;

    return find_pending(generation, &pending, err) < 0 ? refused(err) : 0;
}

static void note_migrated(struct generation *generation, int steps, char *backup) {
    log_info("plugin '%s': %d step%s of its schema applied%s%s", generation->name, steps, steps == 1 ? "" : "s",
             backup ? "; the database before is in " : "", backup ? backup : "");
    generation->backup = backup;
    atomic_store(&generation->migrated, true);
}

/* A backup is for what there was: five are kept, and new tables may not push one out. */
static int apply_pending(struct generation *generation, int pending, struct theseus_error *err) {
    struct store_steps part = {.component = generation->name, .steps = generation->slots.migrations};
    const struct upgrade upgrade = {.parts = &part, .count = 1};
    struct store *store = generation->host->store;
    bool is_new = pending == known_steps(generation);
    char *backup = NULL;

    if (generation->host->rehearsal) /* on a copy already */
        return store_migrate(store, part.component, part.steps, err);
    int r = is_new ? store_migrate(store, part.component, part.steps, err) : upgrade_run(store, &upgrade, &backup, err);
    if (r == 0)
        note_migrated(generation, pending, backup);
    return r;
}

/* It has no tables yet, and may never need them. */
static bool waits_for_use(const struct generation *generation, int pending) {
    return (generation->slots.flags & THESEUS_SCHEMA_ON_USE) && pending == known_steps(generation) &&
           !generation->host->rehearsal;
}

/* Behind a restart nobody opens the database for a plugin that may not want it: it is looked at then. */
static bool looks_on_use(const struct generation *generation) {
    return (generation->slots.flags & THESEUS_SCHEMA_ON_USE) && generation->served && !generation->host->rehearsal;
}

static int refuse_older(const struct generation *generation, int pending, struct theseus_error *err) {
    return fail(err, ERR_BUSY,
                "%d of %d steps of its schema are pending, and a restart with reason schema_migration applies them",
                pending, known_steps(generation));
}

/* An older version, in another process, may have made them meanwhile. */
static int make_tables(const struct generation *generation, struct theseus_error *err) {
    struct store *store = generation->host->store;
    const char *const *steps = generation->slots.migrations;
    int pending = 0;

    if (store_pending(store, generation->name, steps, &pending, err) < 0)
        return -1;
    return is_a_restarts(generation, pending) ? refuse_older(generation, pending, err)
                                              : store_migrate(store, generation->name, steps, err);
}

int migration_on_use(struct generation *generation, struct theseus_error *err) {
    int r = 0;

    if (!atomic_load(&generation->awaits_schema))
        return 0;
    (void)pthread_mutex_lock(&generation->schema_lock);
    if (atomic_load(&generation->awaits_schema))
        r = make_tables(generation, err);
    if (r == 0)
        atomic_store(&generation->awaits_schema, false);
    (void)pthread_mutex_unlock(&generation->schema_lock);
    return r < 0 ? error_prefix(err, "migrations: ") : 0;
}

int migration_run(struct generation *generation, struct theseus_error *err) {
    int pending = 0;

    atomic_store(&generation->awaits_schema, looks_on_use(generation));
    int r = find_pending(generation, &pending, err);
    if (r == 0 && generation->outdated)
        r = refuse_older(generation, pending, err);
    else if (r == 0 && pending > 0 && waits_for_use(generation, pending))
        atomic_store(&generation->awaits_schema, true);
    else if (r == 0 && pending > 0)
        r = apply_pending(generation, pending, err);
    return r < 0 ? refused(err) : 0;
}

/* Cuts the message so that `note` finds room behind it. */
static void append_note(struct theseus_error *err, const char *note) {
    size_t room = sizeof(err->message) - 1 - strlen(note), len = strlen(err->message);

    if (len > room)
        for (len = room; len > 0 && ((unsigned char)err->message[len] & 0xc0) == 0x80;)
            len--; /* not inside a character */
    memcpy(err->message + len, note, strlen(note) + 1);
}

void migration_note(const struct generation *generation, struct theseus_error *err) {
    if (!atomic_load(&generation->migrated))
        return;
    CLEANUP(free)
    char *note = generation->backup
                     ? xasprintf("; its schema stays migrated, the database before is in %s", generation->backup)
                     : xstrdup("; its schema stays migrated");
    if (strlen(note) < sizeof(err->message) / 4 * 3)
        append_note(err, note);
    else
        append_note(err, "; its schema stays migrated, the log names the backup");
}
