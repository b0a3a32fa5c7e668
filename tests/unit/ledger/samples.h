/* Every kind of record, and a sample of each with something in all of its fields. */
#pragma once

#include <stdlib.h>

#include "base/mem.h"
#include "ledger/records.h"

static inline const struct record_kind *const *all_kinds(size_t *ret_count) {
    static const struct record_kind *const kinds[] = {
        &conn_kind,       &position_kind, &input_kind,  &request_kind, &run_kind,   &output_kind,
        &checkpoint_kind, &progress_kind, &listen_kind, &state_kind,   &image_kind, &child_kind,
        &restart_kind,    &counter_kind,  &crash_kind,  &ban_kind,     &event_kind,
    };

    *ret_count = ARRAY_SIZE(kinds);
    return kinds;
}

/* Numbers are `seed` and the field's number; texts are some bytes of a constant. Owned: free(). */
static inline void *sample_new(const struct record_kind *kind, uint64_t seed) {
    static const char text[] = "text \0 with \n anything \xff in it, long enough for every field";
    char *record = xcalloc(1, kind->size);

    for (size_t i = 0; i < kind->count; i++) {
        const struct record_field *field = &kind->fields[i];
        const uint64_t number = seed << 8 | field->number;
        const struct span bytes = {text + field->number, 8 + (size_t)(seed % 16)};
        if (field->type == RECORD_U64)
            memcpy(record + field->offset, &number, sizeof(number));
        else
            memcpy(record + field->offset, &bytes, sizeof(bytes));
    }
    return record;
}

static inline bool sample_is(const struct record_kind *kind, const void *record, uint64_t seed) {
    CLEANUP(free) char *expected = sample_new(kind, seed);
    bool same = true;

    for (size_t i = 0; i < kind->count; i++) {
        const struct record_field *field = &kind->fields[i];
        const void *mine = expected + field->offset, *theirs = (const char *)record + field->offset;
        if (field->type == RECORD_U64)
            same = same && memcmp(mine, theirs, sizeof(uint64_t)) == 0;
        else
            same = same && span_same(*(const struct span *)mine, *(const struct span *)theirs);
    }
    return same;
}
