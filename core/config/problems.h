/*
 * The problems of one configuration, collected while it is read in several passes and told in the order of its lines.
 * Beyond PROBLEMS_MAX they are only counted.
 */
#pragma once

#include "config/config.h"

struct problem {
    enum errc code;
    char *file; /* owned */
    int line;   /* 0: of no line */
    char *text; /* owned */
};

enum { PROBLEMS_MAX = 100 };

struct problems {
    struct problem *list; /* owned */
    size_t count;         /* in the list */
    size_t dropped;
    const char *context; /* put in front of each text; NULL: nothing */
};

void problems_fini(struct problems *problems);
void problems_add(struct problems *problems, const char *file, int line, const char *format, ...) PRINTF_LIKE(4, 5);
void problems_add_error(struct problems *problems, const char *file, int line, const struct theseus_error *error);

/* Tells them all. Returns 0 if there were none, else -1 with the first in `err`. */
MUST_CHECK int problems_tell(struct problems *problems, config_problem_fn *tell, void *arg, struct theseus_error *err);

void problems_fini_cleanup(struct problems *problems); /* CLEANUP(problems_fini) struct problems problems = {0}; */
