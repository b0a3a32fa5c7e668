#include "store/history.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/row.h"
#include "store/schema.h"
#include "store/store.h"

#define COLUMNS                                                                                                      \
    "reason, mechanism, phase, subject, success, graceful, preserve_state, client_name, client_version, transport, " \
    "uid, boot_before, boot_after, version_before, version_after, started_ms, duration_ms, blackout_ms, held_ms, "   \
    "suspend_ms, requests_held, calls_resumed, calls_interrupted, bytes_carried, records_differing, "                \
    "requests_unanswered, calls_lost, connections_lost, connections_resumed"

static const char insert_sql[] = "INSERT INTO history (kind, errors, " COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
                                 "?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, "
                                 "?25, ?26, ?27, ?28, ?29, ?30, ?31)";
static const char once_sql[] = "SELECT 1 FROM history WHERE kind = ?1 AND started_ms = ?2 AND boot_after IS ?3";
static const char select_sql[] =
    "SELECT id, kind, errors, " COLUMNS " FROM history WHERE started_ms >= ?1 "
    "AND (kind = 'restart' OR NOT ?2) AND (kind = 'crash' OR NOT ?4) ORDER BY started_ms DESC, id DESC LIMIT ?3";
static const char sum_sql[] =
    "SELECT count(*) FILTER (WHERE kind = 'restart'), count(*) FILTER (WHERE kind = 'restart' AND success), "
    "count(*) FILTER (WHERE kind = 'reload'), count(*) FILTER (WHERE kind = 'crash'), "
    "coalesce(sum(requests_held), 0), coalesce(sum(calls_resumed), 0), coalesce(sum(calls_interrupted), 0), "
    "coalesce(sum(bytes_carried), 0), "
    "max(started_ms + coalesce(CAST(duration_ms AS INTEGER), 0)) FILTER (WHERE kind = 'restart' AND success) "
    "FROM history WHERE started_ms >= ?1";
static const char delete_sql[] = "DELETE FROM history WHERE started_ms < ?1";

#define COLUMN(type, member) \
    { type, offsetof(struct history_event, member) }

/* In the order of COLUMNS. */
static const struct row_column columns[] = {
    COLUMN(ROW_TEXT, reason),
    COLUMN(ROW_TEXT, mechanism),
    COLUMN(ROW_TEXT, phase),
    COLUMN(ROW_TEXT, subject),
    COLUMN(ROW_FLAG, success),
    COLUMN(ROW_FLAG, graceful),
    COLUMN(ROW_FLAG, preserve_state),
    COLUMN(ROW_TEXT, by.name),
    COLUMN(ROW_TEXT, by.version),
    COLUMN(ROW_TEXT, by.transport),
    COLUMN(ROW_INTEGER, by.uid),
    COLUMN(ROW_TEXT, boot_before),
    COLUMN(ROW_TEXT, boot_after),
    COLUMN(ROW_TEXT, version_before),
    COLUMN(ROW_TEXT, version_after),
    COLUMN(ROW_INTEGER, started_ms),
    COLUMN(ROW_REAL, duration_ms),
    COLUMN(ROW_REAL, blackout_ms),
    COLUMN(ROW_REAL, held_ms),
    COLUMN(ROW_REAL, suspend_ms),
    COLUMN(ROW_INTEGER, requests_held),
    COLUMN(ROW_INTEGER, calls_resumed),
    COLUMN(ROW_INTEGER, calls_interrupted),
    COLUMN(ROW_INTEGER, bytes_carried),
    COLUMN(ROW_INTEGER, records_differing),
    COLUMN(ROW_INTEGER, requests_unanswered),
    COLUMN(ROW_INTEGER, calls_lost),
    COLUMN(ROW_INTEGER, connections_lost),
    COLUMN(ROW_INTEGER, connections_resumed),
};

static const char *const kinds[] = {
    [HISTORY_RESTART] = "restart", [HISTORY_RELOAD] = "reload", [HISTORY_CRASH] = "crash"};

static enum history_kind kind_of(const char *text) {
    for (size_t i = 0; text && i < ARRAY_SIZE(kinds); i++)
        if (strcmp(text, kinds[i]) == 0)
            return (enum history_kind)i;
    return HISTORY_RESTART; /* the table's CHECK lets no other in */
}

struct history_event history_event_of(enum history_kind kind, const char *reason, int64_t started_ms) {
    return (struct history_event){.kind = kind,
                                  .reason = reason,
                                  .by.uid = HISTORY_UNKNOWN,
                                  .started_ms = started_ms,
                                  .duration_ms = HISTORY_UNKNOWN,
                                  .blackout_ms = HISTORY_UNKNOWN,
                                  .held_ms = HISTORY_UNKNOWN,
                                  .suspend_ms = HISTORY_UNKNOWN,
                                  .requests_held = HISTORY_UNKNOWN,
                                  .calls_resumed = HISTORY_UNKNOWN,
                                  .calls_interrupted = HISTORY_UNKNOWN,
                                  .bytes_carried = HISTORY_UNKNOWN,
                                  .records_differing = HISTORY_UNKNOWN,
                                  .requests_unanswered = HISTORY_UNKNOWN,
                                  .calls_lost = HISTORY_UNKNOWN,
                                  .connections_lost = HISTORY_UNKNOWN,
                                  .connections_resumed = HISTORY_UNKNOWN};
}

static int ask(struct store *store, const char *sql, sqlite3_stmt **ret_statement, struct theseus_error *err) {
    return store_statement(store, SCHEMA_CORE, sql, ret_statement, err);
}

int history_add(struct store *store, const struct history_event *event, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *insert = NULL;
    CLEANUP(free) char *errors = event->errors ? json_dumps(event->errors, JSON_COMPACT) : NULL;

    if (event->errors && !errors)
        return fail(err, ERR_MEMORY, "no memory to note the errors of a %s", kinds[event->kind]);
    if (schema_for_writing(store, err) < 0 || ask(store, insert_sql, &insert, err) < 0)
        return -1;
    (void)sqlite3_bind_text(insert, 1, kinds[event->kind], -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(insert, 2, errors, -1, SQLITE_STATIC);
    row_bind(insert, 3, columns, ARRAY_SIZE(columns), event);
    if (sqlite3_step(insert) != SQLITE_DONE)
        return db_fail(sqlite3_db_handle(insert), err, "cannot note a %s in the history", kinds[event->kind]);
    return 0;
}

static int is_there(struct store *store, const struct history_event *event, bool *ret_there,
                    struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *select = NULL;

    if (schema_for_writing(store, err) < 0 || ask(store, once_sql, &select, err) < 0)
        return -1;
    (void)sqlite3_bind_text(select, 1, kinds[event->kind], -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(select, 2, event->started_ms);
    (void)sqlite3_bind_text(select, 3, event->boot_after, -1, SQLITE_STATIC);
    *ret_there = sqlite3_step(select) == SQLITE_ROW;
    return 0;
}

int history_add_once(struct store *store, const struct history_event *event, struct theseus_error *err) {
    bool there = false;

    if (is_there(store, event, &there, err) < 0)
        return -1;
    return there ? 0 : history_add(store, event, err);
}

json_t *history_event_keep_new(const struct history_event *event) {
    return json_pack("{s:s, s:o, s:O?}", "kind", kinds[event->kind], "row",
                     row_pack_new(columns, ARRAY_SIZE(columns), event), "errors", event->errors);
}

void history_event_unpack(struct history_event *ret_event, const json_t *packed) {
    json_t *errors = json_object_get(packed, "errors");

    *ret_event = (struct history_event){.kind = kind_of(json_string_value(json_object_get(packed, "kind"))),
                                        .errors = json_is_array(errors) ? errors : NULL};
    row_unpack(json_object_get(packed, "row"), columns, ARRAY_SIZE(columns), ret_event);
}

static void visit_row(sqlite3_stmt *select, history_visit_fn *visit, void *arg) {
    const char *errors = (const char *)sqlite3_column_text(select, 2);
    struct history_event event = {.id = sqlite3_column_int64(select, 0),
                                  .kind = kind_of((const char *)sqlite3_column_text(select, 1)),
                                  .errors = errors ? json_loads(errors, 0, NULL) : NULL};

    row_read(select, 3, columns, ARRAY_SIZE(columns), &event);
    visit(arg, &event);
    json_decref(event.errors);
}

int history_each(struct store *store, const struct history_query *query, history_visit_fn *visit, void *arg,
                 struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *select = NULL;
    int r = schema_for_reading(store, err);

    if (r != 0)
        return r == SCHEMA_EMPTY ? 0 : -1;
    if (ask(store, select_sql, &select, err) < 0)
        return -1;
    (void)sqlite3_bind_int64(select, 1, query->since_ms);
    (void)sqlite3_bind_int(select, 2, query->restarts_only);
    (void)sqlite3_bind_int(select, 3, query->limit > 0 ? query->limit : -1);
    (void)sqlite3_bind_int(select, 4, query->crashes_only);
    while ((r = sqlite3_step(select)) == SQLITE_ROW)
        visit_row(select, visit, arg);
    return r == SQLITE_DONE ? 0 : db_fail(sqlite3_db_handle(select), err, "cannot read the history");
}

/* New references, for the json_pack() format "o". */
static json_t *number_or_null(int64_t value) {
    return value < 0 ? json_null() : json_integer(value);
}

static json_t *real_or_null(double value) {
    return value < 0 ? json_null() : json_real(value);
}

json_t *history_event_pack(const struct history_event *event) {
    char started[CLOCK_TEXT_BYTES];

    return json_pack(
        "{s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:{s:s?, s:s?}, s:{s:s?, s:s?}, s:{s:s?, s:s?, s:s?, s:o}, s:O?}",
        "timestamp", clock_rfc3339(event->started_ms, started), "kind", kinds[event->kind], "reason", event->reason,
        "mechanism", event->mechanism, "phase", event->phase, "subject", event->subject, "success", event->success,
        "graceful", event->graceful, "preserve_state", event->preserve_state, "duration",
        real_or_null(event->duration_ms < 0 ? -1 : event->duration_ms / 1000), "blackout_ms",
        real_or_null(event->blackout_ms), "held_ms", real_or_null(event->held_ms), "suspend_ms",
        real_or_null(event->suspend_ms), "requests_held", number_or_null(event->requests_held), "calls_resumed",
        number_or_null(event->calls_resumed), "calls_interrupted", number_or_null(event->calls_interrupted),
        "bytes_carried", number_or_null(event->bytes_carried), "records_differing",
        number_or_null(event->records_differing), "requests_unanswered", number_or_null(event->requests_unanswered),
        "calls_lost", number_or_null(event->calls_lost), "connections_lost", number_or_null(event->connections_lost),
        "connections_resumed", number_or_null(event->connections_resumed), "boot_id", "before", event->boot_before,
        "after", event->boot_after, "server_version", "before", event->version_before, "after", event->version_after,
        "requested_by", "name", event->by.name, "version", event->by.version, "transport", event->by.transport, "uid",
        number_or_null(event->by.uid), "errors", event->errors);
}

struct listing {
    json_t *list;
    bool failed;
};

static void add_packed(void *arg, const struct history_event *event) {
    struct listing *listing = arg;

    listing->failed = listing->failed || json_array_append_new(listing->list, history_event_pack(event)) < 0;
}

int history_list(struct store *store, const struct history_query *query, json_t **ret_list, struct theseus_error *err) {
    json_auto_t *list = json_array();
    struct listing listing = {.list = list, .failed = !list};

    if (history_each(store, query, add_packed, &listing, err) < 0)
        return -1;
    if (listing.failed)
        return fail(err, ERR_MEMORY, "no memory to list the history");
    *ret_list = TAKE_PTR(list);
    return 0;
}

int history_sum(struct store *store, int64_t since_ms, struct history_sums *ret_sums, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *select = NULL;
    int r = schema_for_reading(store, err);

    if (r < 0 || (r == 0 && ask(store, sum_sql, &select, err) < 0))
        return -1;
    if (r == SCHEMA_EMPTY) {
        *ret_sums = (struct history_sums){.last_complete_ms = HISTORY_UNKNOWN};
        return 0;
    }
    (void)sqlite3_bind_int64(select, 1, since_ms);
    if (sqlite3_step(select) != SQLITE_ROW)
        return db_fail(sqlite3_db_handle(select), err, "cannot read the history");
    *ret_sums = (struct history_sums){
        .restarts = sqlite3_column_int64(select, 0),
        .restarts_complete = sqlite3_column_int64(select, 1),
        .reloads = sqlite3_column_int64(select, 2),
        .crashes = sqlite3_column_int64(select, 3),
        .requests_held = sqlite3_column_int64(select, 4),
        .calls_resumed = sqlite3_column_int64(select, 5),
        .calls_interrupted = sqlite3_column_int64(select, 6),
        .bytes_carried = sqlite3_column_int64(select, 7),
        .last_complete_ms =
            sqlite3_column_type(select, 8) == SQLITE_NULL ? HISTORY_UNKNOWN : sqlite3_column_int64(select, 8),
    };
    return 0;
}

int history_sweep(struct store *store, int64_t before_ms, int *ret_removed, struct theseus_error *err) {
    return schema_expire(store, delete_sql, before_ms, ret_removed, err);
}
