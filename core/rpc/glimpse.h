/*
 * The id of a request that cannot be read, so that whoever waits for its answer hears what is wrong.
 *
 * Goes along the bytes with nothing but the structure in mind: strings, brackets, and the members of the outermost
 * object. What the structure does not depend on may be wrong: how deep it is, what stands in a string, how a number or
 * a word is spelled. At the first byte that stands where it cannot, it looks no further. An id counts if it is whole,
 * stands there once, and belongs to a request, which has a method: a response has an id of ours. A key with an
 * escape might be any key, and ends the search too.
 */
#pragma once

#include <jansson.h>

#include "base/mem.h"
#include "base/span.h"

struct glimpse;

struct glimpse *glimpse_new(void); /* NULL: no memory */
struct glimpse *glimpse_free(struct glimpse *glimpse);

void glimpse_feed(struct glimpse *glimpse, struct span bytes); /* of the message, the next ones */
json_t *glimpse_id_new(const struct glimpse *glimpse);         /* a string or an integer; NULL: none that is certain */

DEFINE_CLEANUP(struct glimpse *, glimpse_free)
