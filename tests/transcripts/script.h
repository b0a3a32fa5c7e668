/* A transcript, read into its steps. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/mem.h"

enum step_kind { STEP_SEND, STEP_RAW, STEP_EXPECT, STEP_NEVER, STEP_MAYBE, STEP_DIRECTIVE };

struct step {
    enum step_kind kind;
    int line;   /* in the file, from 1 */
    char *text; /* owned: what stands behind the mark */
};

struct script {
    char *path; /* owned */
    struct step *steps;
    size_t count;
};

MUST_CHECK int script_read(struct script **ret_script, const char *path, struct theseus_error *err);
struct script *script_free(struct script *script);

/* Does the text begin with this word? Then what stands behind it and the blanks; else NULL. */
const char *script_behind(const char *text, const char *word);

DEFINE_CLEANUP(struct script *, script_free)
