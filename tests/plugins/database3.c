/* A later version of database.c, with more steps. It works unless the database says that it shall not. */
#include <sqlite3.h>

#include <theseus/plugin.h>

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

static int selftest(void *self, struct theseus_error *err) {
    sqlite3_stmt *get = theseus_statement(self, "SELECT length(note) FROM fixture_values WHERE key = 'refuse'");

    if (!get)
        return theseus_fail(err, "no statement");
    int r = sqlite3_step(get);
    (void)sqlite3_reset(get);
    return r == SQLITE_DONE ? 0 : theseus_fail(err, "the database wants it refused");
}

static const char *const migrations[] = {
    "CREATE TABLE fixture_values (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "ALTER TABLE fixture_values ADD COLUMN note TEXT",
    "UPDATE fixture_values SET note = 'third'",
    NULL,
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "database",
    .version = "3",
    .start = start,
    .selftest = selftest,
    .migrations = migrations,
    .flags = THESEUS_SHARED_STATE,
};
