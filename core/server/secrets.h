/*
 * The secrets that plugins were given, and whether a record contains one. Once one is known it stays known: what was
 * put somewhere while it was a secret is not forgotten with it. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/span.h"

struct secrets;

enum {
    /* A shorter one would be found in half of all texts: it counts only where it is a whole string or number. */
    SECRET_SEARCHED_BYTES = 4,
};

struct secrets *secrets_new(void);
struct secrets *secrets_free(struct secrets *secrets); /* overwrites them */

/* Every text and number in `value`; empty texts and truth values tell nothing. */
void secrets_add(struct secrets *secrets, const json_t *value);
uint64_t secrets_count(struct secrets *secrets); /* grows with each that was not known */

/* Does the JSON text contain one, however it is escaped? What cannot be read as JSON is searched as it is. */
bool secrets_are_in(struct secrets *secrets, struct span text);

DEFINE_CLEANUP(struct secrets *, secrets_free)
