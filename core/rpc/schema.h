/*
 * JSON Schema, draft 2020-12: compiled once, checked often, by any number of threads at a time.
 *
 * What this implementation does not know is refused when the schema is compiled. Schemas that call themselves draft-07
 * or 2019-09 are read by the rules of 2020-12: keywords that only those drafts have are refused with a hint, and what
 * stands beside a $ref counts. `format` and the content keywords are annotations: accepted, not asserted. Nothing is
 * ever fetched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/mem.h"

struct schema;

enum {
    SCHEMA_STEPS = 1000000, /* of work in one check; then the check ends with an error */
    SCHEMA_FRAMES = 1024,   /* schemas entered inside one another in one check, over all levels of the value */
};

/* A document that a reference may name by `uri`. */
struct schema_remote {
    const char *uri;
    const json_t *document; /* read during schema_new_with_options() only */
};

struct schema_options {
    const struct schema_remote *remotes;
    size_t remote_count;
    bool lenient; /* unknown keywords, and those outside the dialect's vocabularies, are skipped and not refused */
};

/*
 * Compiles `document`, which is not needed afterwards. The message of a failure begins with the JSON pointer of the
 * schema at fault ("the schema" for the outermost one) and names the keyword.
 */
MUST_CHECK int schema_new(struct schema **ret_schema, const json_t *document, struct theseus_error *err);
MUST_CHECK int schema_new_with_options(struct schema **ret_schema, const json_t *document,
                                       const struct schema_options *options, struct theseus_error *err);
struct schema *schema_free(struct schema *schema);

/*
 * Does `value` hold? Any thread. The message of a refusal begins with the path of the value at fault ("the value" for
 * the outermost one) and says the rule: "/files/0/name: must be a string, is a number". The code is ERR_INVALID for a
 * value that breaks a rule, ERR_LIMIT for one that takes too much work to decide, ERR_MEMORY where memory is out.
 */
MUST_CHECK int schema_check(const struct schema *schema, const json_t *value, struct theseus_error *err);

DEFINE_CLEANUP(struct schema *, schema_free)
