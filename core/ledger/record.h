/*
 * Records: the facts that must outlive the process image.
 *
 * Each kind is one plain struct (records.h) and one table of its fields. The table encodes and decodes it, so that a
 * kind has exactly one way in and one way out. A field is written with its number and its length: a reader skips a
 * number that it does not know, and a field that is not there reads as zero. The fields marked RECORD_KEY, first in the
 * table, make the key; numbers in it are big-endian, so that the order of the keys' bytes is the order of the numbers.
 * A field marked RECORD_SPARSE is not written when it is zero or empty, as it mostly is.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

enum record_type { RECORD_U64, RECORD_BYTES }; /* uint64_t, struct span */
enum { RECORD_KEY = 1, RECORD_SPARSE = 2 };

struct record_field {
    uint8_t number; /* never reused for another meaning */
    enum record_type type;
    size_t offset;
    int flags;
};

struct record_kind {
    uint16_t number; /* likewise */
    const char *name;
    size_t size; /* of the struct */
    const struct record_field *fields;
    size_t count;
    uint16_t version; /* of the fields' meaning; a new field alone needs no new version */
};

/* Appends the key, or all other fields, of `record` to `out`. */
MUST_CHECK int record_key(const struct record_kind *kind, const void *record, struct buf *out,
                          struct theseus_error *err);
MUST_CHECK int record_payload(const struct record_kind *kind, const void *record, struct buf *out,
                              struct theseus_error *err);

/* Fills `ret_record` (of kind->size bytes); its spans point into `key` and `payload`. ERR_PARSE: damaged. */
MUST_CHECK int record_decode(const struct record_kind *kind, struct span key, struct span payload, void *ret_record,
                             struct theseus_error *err);
