/*
 * The protocol's revisions as data: what a client of each understands. "Modern" (from 2026-07-28) says its version in
 * each request; "legacy" agrees on one by `initialize`.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"

struct revision {
    const char *name;
    bool modern;
    bool batches;          /* arrays of messages are accepted */
    bool annotations;      /* of tools */
    bool audio;            /* content of that type */
    bool titles, links;    /* title members; content of type resource_link */
    bool structured;       /* outputSchema, structuredContent */
    bool progress_message; /* in notifications/progress */
    bool idless_errors;    /* an error response may lack the id */
};

const struct revision *revision_find(const char *name); /* NULL: not served */
const struct revision *revision_modern(void);
const struct revision *revision_newest_legacy(void);
/* What a legacy client gets that asked for `name`: that revision, or the newest legacy one. Never the modern one. */
const struct revision *revision_negotiate(const char *name);

/* The members of params._meta by which a request is modern. */
#define META_VERSION "io.modelcontextprotocol/protocolVersion"
#define META_CAPABILITIES "io.modelcontextprotocol/clientCapabilities"
#define META_CLIENT "io.modelcontextprotocol/clientInfo"
#define META_LOG_LEVEL "io.modelcontextprotocol/logLevel"
#define META_SERVER "io.modelcontextprotocol/serverInfo"
#define META_TASKS "io.modelcontextprotocol/tasks" /* an extension, in the capabilities of either side */
#define META_SUBSCRIPTION "io.modelcontextprotocol/subscriptionId"

/* Does this request speak of itself as a modern one? */
bool revision_is_claimed(const json_t *params);
/* 0: a served modern request. ERR_PARAMS: a required member is missing or mistyped; ERR_VERSION: not served. */
MUST_CHECK int revision_check_claim(const json_t *params, struct theseus_error *err);
/* `data` of an ERR_VERSION: what is served and what was asked for. New reference. */
json_t *revision_unsupported_data_new(const json_t *params);

/* Level of a log message by its name: 0 debug … 7 emergency; -1: there is none of that name. */
int revision_log_level(const char *name);
/* Does the modern request declare the extension? */
bool revision_has_extension(const json_t *params, const char *name);
const char *revision_log_level_name(int level);
