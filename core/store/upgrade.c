#include "store/upgrade.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/backup.h"

struct upgrading {
    struct store *store;
    const struct upgrade *upgrade;
    char *backup; /* owned; NULL: none was made */
};

static int back_up(void *arg, struct theseus_error *err) {
    struct upgrading *upgrading = arg;

    return backup_make(upgrading->store, &upgrading->backup, err);
}

static void on_committing(void *arg) {
    const struct upgrade *upgrade = ((struct upgrading *)arg)->upgrade;

    if (upgrade->committing)
        upgrade->committing(upgrade->arg);
}

int upgrade_run(struct store *store, const struct upgrade *upgrade, char **ret_backup, struct theseus_error *err) {
    struct upgrading upgrading = {store, upgrade, NULL};
    const struct migration migration = {.parts = upgrade->parts,
                                        .count = upgrade->count,
                                        .wait_ms = upgrade->wait_ms,
                                        .before = back_up,
                                        .committing = on_committing,
                                        .arg = &upgrading};

    if (store_migrate_all(store, &migration, err) < 0) {
        backup_drop(upgrading.backup);
        free(upgrading.backup);
        return -1;
    }
    if (upgrading.backup)
        backup_drop_oldest(store);
    *ret_backup = upgrading.backup;
    return 0;
}
