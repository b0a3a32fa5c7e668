#include "server/crash_note.h"

#include <string.h>

#include "ledger/ledger.h"

/* The way back has its own note in front. */
enum { NOTE_OFFSET = 1024 };

struct crash_note *crash_note_place(const struct ledger *ledger) {
    size_t size = 0;
    char *scratch = ledger_scratch(ledger, &size);

    return scratch && size >= NOTE_OFFSET + sizeof(struct crash_note) ? (void *)(scratch + NOTE_OFFSET) : NULL;
}

static void end_text(char *text, size_t size) {
    text[size - 1] = '\0';
}

/* What a process in trouble has written need not be what it meant. */
static void mend(struct crash_note *note) {
    end_text(note->thread, sizeof(note->thread));
    end_text(note->plugin, sizeof(note->plugin));
    end_text(note->version, sizeof(note->version));
    end_text(note->hash, sizeof(note->hash));
    end_text(note->tool, sizeof(note->tool));
    end_text(note->slot, sizeof(note->slot));
    if (note->frame_count > CRASH_FRAMES_MAX)
        note->frame_count = CRASH_FRAMES_MAX;
    if (note->module_count > CRASH_MODULES_MAX)
        note->module_count = CRASH_MODULES_MAX;
    for (uint32_t i = 0; i < note->module_count; i++)
        end_text(note->modules[i].path, sizeof(note->modules[i].path));
}

bool crash_note_read(struct ledger *ledger, struct crash_note *ret_note) {
    struct crash_note *note = crash_note_place(ledger);

    if (!note || memcmp(note->magic, CRASH_MAGIC, sizeof(note->magic)) != 0)
        return false;
    *ret_note = *note;
    memset(note, 0, sizeof(*note));
    mend(ret_note);
    return true;
}
