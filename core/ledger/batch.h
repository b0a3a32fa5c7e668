/*
 * Changes that will become visible together. A batch is built without the gate and holds the records as they will
 * stand in the ledger, checksums included: to commit it is to copy it.
 */
#pragma once

#include "ledger/record.h"

/* Zeroed memory is an empty batch. */
struct batch {
    struct buf ops;
    uint64_t body;  /* the records' checksums in one */
    uint32_t count; /* records */
    bool puts;      /* not only drops */
    bool carried;   /* it changes what a snapshot carries (carry.h) */
    bool failed;    /* no memory for one of them: committing fails as a whole */
    bool reserve;   /* an answer, or what else ends something: may use the room that is kept for that */
};

void batch_put(struct batch *batch, const struct record_kind *kind, const void *record);
void batch_drop(struct batch *batch, const struct record_kind *kind, const void *record); /* looks at the key only */

/* Memory ahead, for records that are put when the gate is held: so many bytes of content, in so many records. */
MUST_CHECK int batch_reserve(struct batch *batch, size_t records, size_t bytes, struct theseus_error *err);

void batch_clear(struct batch *batch); /* empty again; keeps its memory */
void batch_fini(struct batch *batch);
void batch_fini_cleanup(struct batch *batch);

/* Carries a record as it is: a struct format_record and what follows it, whoever wrote it. */
struct format_record;
void batch_carry(struct batch *batch, const struct format_record *record);
