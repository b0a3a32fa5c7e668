#include "server/crash_left.h"

#include <string.h>

#include "ledger/ledger.h"

/* The way back has its own note in front. */
enum { NOTE_OFFSET = 1024, UNTOLD_OFFSET = 16 << 10 };
_Static_assert(NOTE_OFFSET + sizeof(struct crash_note) <= UNTOLD_OFFSET,
               "a note fits in front of the one that is kept");

struct crash_note *crash_left_place(const struct ledger *ledger) {
    size_t size = 0;
    char *scratch = ledger_scratch(ledger, &size);

    return scratch && size >= NOTE_OFFSET + sizeof(struct crash_note) ? (void *)(scratch + NOTE_OFFSET) : NULL;
}

bool crash_left_read(struct ledger *ledger, struct crash_note *ret_note) {
    struct crash_note *note = crash_left_place(ledger);

    if (!note || memcmp(note->magic, CRASH_MAGIC, sizeof(note->magic)) != 0)
        return false;
    *ret_note = *note;
    memset(note, 0, sizeof(*note));
    crash_note_mend(ret_note);
    return true;
}

static struct crash_untold *untold_place(const struct ledger *ledger) {
    size_t size = 0;
    char *scratch = ledger_scratch(ledger, &size);

    return scratch && size >= UNTOLD_OFFSET + sizeof(struct crash_untold) ? (void *)(scratch + UNTOLD_OFFSET) : NULL;
}

void crash_left_keep(struct ledger *ledger, const struct crash_untold *untold) {
    struct crash_untold *place = untold_place(ledger);

    if (!place)
        return;
    crash_left_told(ledger);
    *place = *untold;
    memcpy(place->magic, CRASH_MAGIC, sizeof(place->magic));
}

bool crash_left_untold(struct ledger *ledger, struct crash_untold *ret_untold) {
    const struct crash_untold *place = untold_place(ledger);

    if (!place || memcmp(place->magic, CRASH_MAGIC, sizeof(place->magic)) != 0)
        return false;
    *ret_untold = *place;
    crash_note_mend(&ret_untold->note);
    quarantine_mend(&ret_untold->verdict);
    return true;
}

void crash_left_told(struct ledger *ledger) {
    struct crash_untold *place = untold_place(ledger);

    if (place)
        memset(place->magic, 0, sizeof(place->magic));
}
