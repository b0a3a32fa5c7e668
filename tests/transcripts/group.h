/*
 * What is expected between two barriers: consecutive `<` lines. Each takes exactly one line of the server; in which
 * order they come does not matter, unless the group is ordered. Lines that none of them takes are left for later
 * groups.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/mem.h"

struct wire;

struct expectation {
    char *text;       /* owned: with its ${NAMES} */
    json_t *pattern;  /* owned: what the next line is held against */
    size_t next, end; /* of its repetitions, which are ${n} and come in order */
    int line;
};

struct group {
    struct expectation *items;
    size_t count;
    json_t *names;  /* borrowed */
    json_t *nevers; /* owned: what no line may match */
    json_t *maybes; /* owned: what may come as often as it likes */
    bool ordered;
    int number;
    size_t open; /* expectations that still want lines */
};

void group_init(struct group *group, json_t *names);
void group_fini(struct group *group);
MUST_CHECK int group_add(struct group *group, const char *text, size_t times, int line, struct theseus_error *err);
MUST_CHECK int group_never(struct group *group, const char *text, struct theseus_error *err);
MUST_CHECK int group_maybe(struct group *group, const char *text, struct theseus_error *err);

/* Gives the lines that have come to those that expect them. */
MUST_CHECK int group_take(struct group *group, struct wire *wire, struct theseus_error *err);
void group_end(struct group *group); /* and a new one begins */
void group_print_open(const struct group *group, const char *path);
