/*
 * Regular expressions of ECMA-262 in Unicode mode, run by PCRE2: what the two write differently is translated, and what
 * only PCRE2 knows is refused. A pattern is immutable: several threads may match with it at once, each with its own
 * struct pattern_work.
 */
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "base/span.h"
#include "rpc/schema_effort.h"

struct pattern;
struct pcre2_real_match_data_8;

struct pattern_work {
    struct pcre2_real_match_data_8 *data; /* owned; made when it is needed first */
    struct effort *effort;                /* borrowed */
};

enum { PATTERN_MISS = 1 };

MUST_CHECK int pattern_new(struct pattern **ret_pattern, struct span text, struct theseus_error *err);
struct pattern *pattern_free(struct pattern *pattern);

/* 0: it is found somewhere in `text`; PATTERN_MISS: it is not; <0: that could not be decided. */
MUST_CHECK int pattern_match(const struct pattern *pattern, struct pattern_work *work, struct span text,
                             struct theseus_error *err);
void pattern_work_fini(struct pattern_work *work);

/* The expression in PCRE2's words. */
MUST_CHECK int pattern_translate(struct span text, struct buf *ret_translated, struct theseus_error *err);

DEFINE_CLEANUP(struct pattern *, pattern_free)
