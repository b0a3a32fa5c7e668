/* What a loop's objects lack at the moment. */
#pragma once

#include <string.h>

#include "loop/lack.h"

struct lack_search {
    const char *begin;
    int count;
};

static inline void lack_look(void *arg, const char *text) {
    struct lack_search *search = arg;

    search->count += strncmp(text, search->begin, strlen(search->begin)) == 0;
}

/* How many lacks are said with words that begin like this. */
static inline int lack_count(struct loop *loop, const char *begin) {
    struct lack_search search = {.begin = begin};

    lacks_each(loop, lack_look, &search);
    return search.count;
}
