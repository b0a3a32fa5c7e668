#include "server/restart_facts.h"

#include <stdlib.h>

static struct span span_or_empty(const char *text) {
    return text ? span_of(text) : (struct span){0};
}

static char *text_or_null(struct span span) {
    return span.len ? xstrndup(span.data, span.len) : NULL;
}

void facts_fini(struct restart_facts *facts) {
    char *texts[] = {facts->reason, facts->asker, facts->boot_before, facts->version_before,
                     facts->error,  facts->lost,  facts->cause,       facts->report};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        free(texts[i]);
    *facts = (struct restart_facts){0};
}

int facts_record(const struct restart_facts *facts, struct ledger *ledger, struct theseus_error *err) {
    struct restart_record record = {
        .number = 1,
        .conn = facts->key.conn,
        .offset = facts->key.offset,
        .index = facts->key.index,
        .reason = span_or_empty(facts->reason),
        .phase = span_of(phase_name(facts->phase)),
        .started_ms = (uint64_t)facts->started_ms,
        .attempt = facts->attempt,
        .flags = facts->flags,
        .timeout_ms = (uint64_t)facts->timeout_ms,
        .started_ns = (uint64_t)facts->started_ns,
        .asker = span_or_empty(facts->asker),
        .boot_before = span_or_empty(facts->boot_before),
        .version_before = span_or_empty(facts->version_before),
        .stopped_ns = (uint64_t)facts->stopped_ns,
        .held_ns = (uint64_t)facts->held_ns,
        .suspend_ns = (uint64_t)facts->suspend_ns,
        .requests_held = facts->requests_held,
        .calls_interrupted = facts->calls_interrupted,
        .bytes_carried = facts->bytes_carried,
        .error = span_or_empty(facts->error),
        .lost = span_or_empty(facts->lost),
        .cause = span_or_empty(facts->cause),
        .report = span_or_empty(facts->report),
    };

    return ledger_put(ledger, &restart_kind, &record, err);
}

static void read_record(void *arg, const void *recorded) {
    const struct restart_record *record = recorded;
    struct restart_facts *facts = arg;
    CLEANUP(free) char *phase = xstrndup(record->phase.data, record->phase.len);

    *facts = (struct restart_facts){
        .phase = phase_find(phase),
        .key = {record->conn, record->offset, record->index},
        .flags = (unsigned)record->flags,
        .reason = text_or_null(record->reason),
        .asker = text_or_null(record->asker),
        .boot_before = text_or_null(record->boot_before),
        .version_before = text_or_null(record->version_before),
        .error = text_or_null(record->error),
        .lost = text_or_null(record->lost),
        .cause = text_or_null(record->cause),
        .report = text_or_null(record->report),
        .started_ms = (int64_t)record->started_ms,
        .started_ns = (int64_t)record->started_ns,
        .timeout_ms = (int64_t)record->timeout_ms,
        .stopped_ns = (int64_t)record->stopped_ns,
        .held_ns = (int64_t)record->held_ns,
        .suspend_ns = (int64_t)record->suspend_ns,
        .attempt = record->attempt,
        .requests_held = record->requests_held,
        .calls_interrupted = record->calls_interrupted,
        .bytes_carried = record->bytes_carried,
    };
}

bool facts_read(struct restart_facts *ret_facts, struct ledger *ledger) {
    struct restart_record record = {.number = 1};

    return ledger_find(ledger, &restart_kind, &record, read_record, ret_facts);
}

char *facts_pack_asker(const struct asker *asker, const char *session) {
    json_auto_t *packed =
        json_pack("{s:s, s:s, s:s, s:I, s:s}", "name", asker->name ? asker->name : "", "version",
                  asker->version ? asker->version : "", "transport", asker->transport ? asker->transport : "", "uid",
                  (json_int_t)asker->uid, "session", session ? session : "");

    return packed ? json_dumps(packed, JSON_COMPACT) : NULL;
}

static const char *text_in(const json_t *packed, const char *key) {
    const char *text = json_string_value(json_object_get(packed, key));

    return text && *text ? text : NULL;
}

json_t *facts_unpack_asker(const struct restart_facts *facts, struct asker *ret_asker) {
    json_t *packed = facts->asker ? json_loads(facts->asker, 0, NULL) : NULL;
    const json_t *uid = json_object_get(packed, "uid");

    *ret_asker = (struct asker){.name = text_in(packed, "name"),
                                .version = text_in(packed, "version"),
                                .transport = text_in(packed, "transport"),
                                .uid = json_is_integer(uid) ? json_integer_value(uid) : -1};
    return packed;
}
