#include "id.h"

#include <stdio.h>
#include <sys/random.h>

#include "clock.h"

enum { TIME_LETTERS = 9, CHANCE_LETTERS = 5, CHANCE_BITS = 5 * CHANCE_LETTERS };

static char *spell(char *at, uint64_t value, int letters) {
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* none that look like another */

    for (int i = letters - 1; i >= 0; i--, value >>= 5)
        at[i] = alphabet[value & 31];
    return at + letters;
}

/* Within one millisecond they are counted up from a point of chance. */
static void advance(struct id_source *source) {
    int64_t now = clock_now();

    if (now <= source->ms && ++source->chance < 1u << CHANCE_BITS)
        return;
    source->ms = now > source->ms ? now : source->ms + 1;
    if (getrandom(&source->chance, sizeof(source->chance), 0) != sizeof(source->chance))
        source->chance = (uint32_t)now * 2654435761u; /* whoever has the same is told by the database */
    source->chance &= (1u << (CHANCE_BITS - 1)) - 1;  /* leaves room to count */
}

void id_make(struct id_source *source, const char *prefix, char text[static ID_TEXT]) {
    advance(source);
    char *at = text + snprintf(text, ID_TEXT - TIME_LETTERS - CHANCE_LETTERS, "%s_", prefix);
    at = spell(at, (uint64_t)source->ms, TIME_LETTERS);
    *spell(at, source->chance, CHANCE_LETTERS) = '\0';
}
