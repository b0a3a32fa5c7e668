/*
 * Keeps its values in the server's database. Later versions of it are this file again, with more steps, and so is
 * another plugin of the same kind.
 */
#include <sqlite3.h>

#include <theseus/plugin.h>

#ifndef FIXTURE_VERSION
#define FIXTURE_VERSION "1"
#endif
#ifndef FIXTURE_STEPS /* the later ones */
#define FIXTURE_STEPS
#endif
#ifndef FIXTURE_AT_START
#define FIXTURE_AT_START
#endif
#ifndef FIXTURE_AT_PUT
#define FIXTURE_AT_PUT
#endif
#ifndef FIXTURE_NAME
#define FIXTURE_NAME "database"
#define FIXTURE_TABLE "fixture_values"
#define FIXTURE_TOOLS "db"
#endif

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    FIXTURE_AT_START
    *ret_self = ctx;
    return 0;
}

static int no_statement(struct theseus_call *call) {
    return theseus_reply_error(call, "no statement: %s", theseus_last_error(call->host));
}

static int db_put(struct theseus_call *call, void *self, const json_t *args) {
    sqlite3_stmt *put = theseus_statement(self, "INSERT INTO " FIXTURE_TABLE " (key, value) VALUES (?1, ?2) "
                                                "ON CONFLICT (key) DO UPDATE SET value = excluded.value");

    FIXTURE_AT_PUT
    if (!put)
        return no_statement(call);
    (void)sqlite3_bind_text(put, 1, json_string_value(json_object_get(args, "key")), -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_text(put, 2, json_string_value(json_object_get(args, "value")), -1, SQLITE_TRANSIENT);
    int r = sqlite3_step(put);
    (void)sqlite3_reset(put);
    (void)sqlite3_clear_bindings(put);
    if (r != SQLITE_DONE)
        return theseus_reply_error(call, "not stored: %s", sqlite3_errmsg(theseus_db(self)));
    return theseus_reply_text(call, "stored");
}

static json_t *read_row(sqlite3_stmt *get, int r) {
    if (r == SQLITE_ROW)
        return json_pack("{s:s}", "value", (const char *)sqlite3_column_text(get, 0));
    return json_pack("{s:n}", "value");
}

static int db_get(struct theseus_call *call, void *self, const json_t *args) {
    sqlite3_stmt *get = theseus_statement(self, "SELECT value FROM " FIXTURE_TABLE " WHERE key = ?1");

    if (!get)
        return no_statement(call);
    (void)sqlite3_bind_text(get, 1, json_string_value(json_object_get(args, "key")), -1, SQLITE_TRANSIENT);
    int r = sqlite3_step(get);
    json_t *value = read_row(get, r);
    (void)sqlite3_reset(get);
    (void)sqlite3_clear_bindings(get);
    if (r != SQLITE_ROW && r != SQLITE_DONE) {
        json_decref(value);
        return theseus_reply_error(call, "not read: %s", sqlite3_errmsg(theseus_db(self)));
    }
    return theseus_reply_json(call, value);
}

static const char *const migrations[] = {
    "CREATE TABLE " FIXTURE_TABLE " (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    FIXTURE_STEPS NULL,
};

static const struct theseus_tool tools[] = {
    {.name = FIXTURE_TOOLS "_put",
     .description = "Stores a value under a key.",
     .input_schema =
         "{\"type\":\"object\",\"properties\":{\"key\":{\"type\":\"string\"},\"value\":{\"type\":\"string\"}},"
         "\"required\":[\"key\",\"value\"],\"additionalProperties\":false}",
     .flags = THESEUS_IDEMPOTENT,
     .call = db_put},
    {.name = FIXTURE_TOOLS "_get",
     .description = "Reads the value under a key; null where there is none.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"key\":{\"type\":\"string\"}},\"required\":[\"key\"],"
                     "\"additionalProperties\":false}",
     .flags = THESEUS_READ_ONLY,
     .call = db_get},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = FIXTURE_NAME,
    .version = FIXTURE_VERSION,
    .start = start,
    .migrations = migrations,
    .tools = tools,
    .flags = THESEUS_SHARED_STATE,
};
