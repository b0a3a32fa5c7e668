/* Names that resemble each other: for "did you mean", and for patterns. */
#include <fnmatch.h>
#include <string.h>

#include "config/config.h"

enum { NEAREST_BYTES = 200, NEAREST_CHANGES = 3 };

static size_t least(size_t a, size_t b, size_t c) {
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* How many letters have to be put in, left out or changed (Levenshtein). */
static size_t distance(const char *a, const char *b) {
    size_t row[NEAREST_BYTES + 1];
    size_t len = strlen(b);

    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[len];
}

const char *config_nearest(const char *name, const char *const *names, size_t count) {
    size_t len = strlen(name);
    size_t best = (len / 2 < NEAREST_CHANGES ? len / 2 : NEAREST_CHANGES) + 1; /* further away it would be no help */
    const char *nearest = NULL;

    for (size_t i = 0; i < count && len <= NEAREST_BYTES; i++) {
        size_t away = strlen(names[i]) <= NEAREST_BYTES ? distance(name, names[i]) : best;
        if (away < best) {
            best = away;
            nearest = names[i];
        }
    }
    return nearest;
}

bool config_matches(char *const *patterns, const char *name) {
    for (; *patterns; patterns++)
        if (fnmatch(*patterns, name, 0) == 0)
            return true;
    return false;
}
