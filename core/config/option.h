/*
 * The option table: one row is parser, default, limits and documentation of a setting. A new option is a field of
 * struct config and a row; nothing else knows its name.
 */
#pragma once

#include <stdint.h>

#include "config/config.h"

enum option_type {
    OPT_STRING,   /* char *; min and max are bytes */
    OPT_PATH,     /* char *, absolute */
    OPT_PATHS,    /* char **, absolute, separated by colons */
    OPT_PATTERNS, /* char **, separated by commas or white space */
    OPT_SIZE,     /* size_t; K, M and G are understood */
    OPT_COUNT,    /* int */
    OPT_SECONDS,  /* int */
    OPT_MILLIS,   /* int */
    OPT_DURATION, /* int, seconds; written with a unit: 90s, 30m, 12h, 7d */
    OPT_BOOL,     /* bool */
    OPT_ENUM,     /* an enum whose values are the indices of `words` */
    OPT_WHO,      /* char **, of principal.h: a list, with `words` (may be NULL) as further ones for everybody */
    OPT_RULES,    /* char **, of principal.h */
    OPT_USERS,    /* char **, of principal.h */
    OPT_GROUPS,   /* char **, of principal.h */
};

enum option_change { OPT_IN_PLACE, OPT_NEEDS_REEXEC };

struct option_def {
    const char *section, *key;
    enum option_type type;
    enum option_change change;
    size_t offset;    /* in struct config */
    const char *text; /* the default, as it would be written; "" for one that `compute` finds out */
    int64_t min, max;
    const char *const *words;                                                   /* NULL-terminated */
    void (*compute)(struct config *config, const struct config_source *source); /* NULL: `text` is the default */
    const char *help; /* one line; says what the default is where `compute` finds it out */
};

extern const struct option_def option_table[];
extern const size_t option_count;
extern const char option_instructions[]; /* the default of server.instructions */

/* NULL: there is none. */
const struct option_def *option_find(const char *section, const char *key);

/* The names in the table, for messages: of all sections, or of the keys of one. The caller frees the
 * array, not the names. */
const char **option_sections(size_t *ret_count);
const char **option_keys(const char *section, size_t *ret_count);

/* Parses `value` into its field, whose old content is freed. The message does not name the option. */
MUST_CHECK int option_set(const struct option_def *option, struct config *config, const char *value,
                          const char *base_dir, struct theseus_error *err);
/* The same for a field of any structure, at the option's offset in it. */
MUST_CHECK int option_set_in(const struct option_def *option, void *structure, const char *value, const char *base_dir,
                             struct theseus_error *err);
void option_set_default(const struct option_def *option, struct config *config, const struct config_source *source);
bool option_same(const struct option_def *option, const struct config *a, const struct config *b);
void option_fini(const struct option_def *option, struct config *config);

/* "seconds, 1 to 600", "read_only, yes or no": what may be written. The caller frees it. */
char *option_syntax(const struct option_def *option);
