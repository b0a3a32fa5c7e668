#include "plugin/migration.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/generation.h"
#include "plugin/host.h"
#include "store/backup.h"
#include "store/migrate.h"

static void note_migrated(struct generation *generation, int steps, char *backup) {
    log_info("plugin '%s': %d step%s of its schema applied%s%s", generation->name, steps, steps == 1 ? "" : "s",
             backup ? "; the database before is in " : "", backup ? backup : "");
    generation->backup = backup;
    atomic_store(&generation->migrated, true);
    if (generation->host->migrated)
        generation->host->migrated(generation->host->arg);
}

/* What is committed here stays, also when this generation is refused: hence the backup. */
static int apply_pending(struct generation *generation, int pending, struct theseus_error *err) {
    struct store *store = generation->host->store;
    const bool rehearsal = generation->host->rehearsal; /* on a copy already */
    CLEANUP(free) char *backup = NULL;

    if (!rehearsal && backup_make(store, &backup, err) < 0)
        return -1;
    if (store_migrate(store, generation->name, generation->slots.migrations, err) < 0) {
        backup_drop(backup);
        return -1;
    }
    if (rehearsal)
        return 0;
    backup_drop_oldest(store);
    note_migrated(generation, pending, TAKE_PTR(backup));
    return 0;
}

/* It has no tables yet, and may never need them. */
static bool waits_for_use(const struct generation *generation, int pending) {
    int known = 0;

    while (generation->slots.migrations[known])
        known++;
    return (generation->slots.flags & THESEUS_SCHEMA_ON_USE) && pending == known && !generation->host->rehearsal;
}

int migration_on_use(struct generation *generation, struct theseus_error *err) {
    int r = 0;

    if (!atomic_load(&generation->awaits_schema))
        return 0;
    (void)pthread_mutex_lock(&generation->schema_lock);
    if (atomic_load(&generation->awaits_schema))
        r = store_migrate(generation->host->store, generation->name, generation->slots.migrations, err);
    if (r == 0)
        atomic_store(&generation->awaits_schema, false);
    (void)pthread_mutex_unlock(&generation->schema_lock);
    return r < 0 ? error_prefix(err, "migrations: ") : 0;
}

int migration_run(struct generation *generation, struct theseus_error *err) {
    int pending = 0;
    int r = !generation->slots.migrations
                ? 0
                : store_pending(generation->host->store, generation->name, generation->slots.migrations, &pending, err);

    if (r == 0 && pending > 0 && waits_for_use(generation, pending))
        atomic_store(&generation->awaits_schema, true);
    else if (r == 0 && pending > 0)
        r = apply_pending(generation, pending, err);
    if (r < 0)
        err->code = ERR_INTERNAL; /* to whoever files the refusal, the database's kind of failure means another thing */
    return r < 0 ? error_prefix(err, "migrations: ") : 0;
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
