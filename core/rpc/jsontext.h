/* JSON text to json_t and back: what jansson's own reader and writer do, many bytes at a time. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

enum { JSONTEXT_WRITE_DEPTH = 2048 }; /* a value deeper than this could not be read back, by jansson neither */

/*
 * A new reference to the one value in `text`, which need not end with a NUL. NULL with ERR_PARSE (the message has the
 * byte's offset), ERR_LIMIT (more than LIMIT_JSON_DEPTH levels of arrays and objects) or ERR_MEMORY.
 *
 * Accepts what json_loadb() accepts under JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, but for that depth
 * and for a NUL byte behind a number or a word, which json_loadb() loses and we refuse.
 */
MUST_CHECK json_t *jsontext_read(struct span text, struct theseus_error *err);

/*
 * Appends the compact form: one line, valid UTF-8, the bytes of json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) in
 * any locale. ERR_MEMORY, ERR_LIMIT (too deep), or ERR_INVALID (no value, one that contains itself, a string that is
 * not UTF-8). After a failure `out` has the content that it had before. Any thread.
 */
MUST_CHECK int jsontext_write(const json_t *value, struct buf *out, struct theseus_error *err);

/* The same with the keys of every object in the order of their bytes, for comparing and hashing. */
MUST_CHECK int jsontext_write_sorted(const json_t *value, struct buf *out, struct theseus_error *err);

/* Appends `text` as a JSON string, with its quotes. */
MUST_CHECK int jsontext_write_string(struct span text, struct buf *out, struct theseus_error *err);
