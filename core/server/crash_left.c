#include "server/crash_left.h"

#include <string.h>

#include "ledger/ledger.h"

/* The way back has its own note in front. */
enum { NOTE_OFFSET = 1024 };

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
