/* What the original calls things, and what they are called here. */
#include <string.h>

#include "import.h"
#include "words.h"

static const char *const same[] = {
    [IMPORT_STATUS] = WORDS_STATUS,
    [IMPORT_TYPE] = WORDS_TASK_TYPE,
    [IMPORT_COMPLEXITY] = WORDS_COMPLEXITY,
    [IMPORT_SPECIALIST] = WORDS_SPECIALIST,
};

static const struct {
    enum import_kind kind;
    const char *theirs, *ours;
} table[] = {
    {IMPORT_STATUS, "active", "in_progress"},
    {IMPORT_TYPE, "generic", "standard"},
    {IMPORT_SPECIALIST, "implementer", "coder"},
    {IMPORT_SPECIALIST, "debugger", "coder"},
    {IMPORT_SPECIALIST, "optimizer", "coder"},
    {IMPORT_SPECIALIST, "custom", "generic"},
    {IMPORT_SPECIALIST, "project_manager", "coordinator"},
};

const char *import_word(enum import_kind kind, const char *word) {
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].kind == kind && strcmp(table[i].theirs, word) == 0)
            return table[i].ours;
    return words_has(same[kind], word) ? word : NULL;
}
