#include "base/crash_note.h"

#include <stddef.h>

static void end_text(char *text, size_t size) {
    text[size - 1] = '\0';
}

void crash_note_mend(struct crash_note *note) {
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
