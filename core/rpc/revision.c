#include "rpc/revision.h"

#include <string.h>

#include "base/mem.h"

static const struct revision revisions[] = {
    {.name = "2024-11-05"},
    {.name = "2025-03-26", .batches = true, .annotations = true, .audio = true, .progress_message = true},
    {.name = "2025-06-18",
     .annotations = true,
     .audio = true,
     .titles = true,
     .links = true,
     .structured = true,
     .progress_message = true},
    {.name = "2025-11-25",
     .annotations = true,
     .audio = true,
     .titles = true,
     .links = true,
     .structured = true,
     .progress_message = true,
     .idless_errors = true},
    {.name = "2026-07-28",
     .modern = true,
     .annotations = true,
     .audio = true,
     .titles = true,
     .links = true,
     .structured = true,
     .progress_message = true,
     .idless_errors = true},
};
enum { REVISION_MODERN = ARRAY_SIZE(revisions) - 1, REVISION_NEWEST_LEGACY = REVISION_MODERN - 1 };

const struct revision *revision_find(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(revisions); i++)
        if (strcmp(revisions[i].name, name) == 0)
            return &revisions[i];
    return NULL;
}

const struct revision *revision_modern(void) {
    return &revisions[REVISION_MODERN];
}

const struct revision *revision_newest_legacy(void) {
    return &revisions[REVISION_NEWEST_LEGACY];
}

const struct revision *revision_negotiate(const char *name) {
    const struct revision *revision = revision_find(name);

    return revision && !revision->modern ? revision : revision_newest_legacy();
}

bool revision_is_claimed(const json_t *params) {
    const json_t *meta = json_object_get(params, "_meta");

    return json_object_get(meta, META_VERSION) || json_object_get(meta, META_CAPABILITIES);
}

int revision_check_claim(const json_t *params, struct theseus_error *err) {
    const json_t *meta = json_object_get(params, "_meta");
    const json_t *version = json_object_get(meta, META_VERSION);
    const json_t *level = json_object_get(meta, META_LOG_LEVEL);

    if (!json_is_string(version))
        return fail(err, ERR_PARAMS, "_meta member '%s' is missing or no string", META_VERSION);
    if (!json_is_object(json_object_get(meta, META_CAPABILITIES)))
        return fail(err, ERR_PARAMS, "_meta member '%s' is missing or no object", META_CAPABILITIES);
    if (strcmp(json_string_value(version), revision_modern()->name) != 0)
        return fail(err, ERR_VERSION, "protocol version '%.40s' is not supported", json_string_value(version));
    if (level && (!json_is_string(level) || revision_log_level(json_string_value(level)) < 0))
        return fail(err, ERR_PARAMS, "_meta member '%s' is no log level", META_LOG_LEVEL);
    return 0;
}

json_t *revision_unsupported_data_new(const json_t *params) {
    json_t *requested = json_object_get(json_object_get(params, "_meta"), META_VERSION);

    return json_pack("{s:[s], s:O}", "supported", revision_modern()->name, "requested", requested);
}

bool revision_has_extension(const json_t *params, const char *name) {
    const json_t *capabilities = json_object_get(json_object_get(params, "_meta"), META_CAPABILITIES);

    return json_is_object(json_object_get(json_object_get(capabilities, "extensions"), name));
}

static const char *const levels[] = {"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"};

int revision_log_level(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
        if (strcmp(levels[i], name) == 0)
            return (int)i;
    return -1;
}

const char *revision_log_level_name(int level) {
    int last = (int)ARRAY_SIZE(levels) - 1;

    return levels[level < 0 ? 0 : level > last ? last : level];
}
