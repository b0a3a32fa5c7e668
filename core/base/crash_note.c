#include "base/crash_note.h"

#include <stddef.h>
#include <stdio.h>

void crash_note_call(const struct crash_note *note, char text[static CRASH_CALL_BYTES]) {
    static const char *const texts[] = {[CRASH_BY_QUICK_EXIT] = "quick_exit()",
                                        [CRASH_BY_THREAD_END] = "pthread_exit()",
                                        [CRASH_BY_CLOSING] = "close()"};

    if (note->call == CRASH_BY_EXIT)
        (void)snprintf(text, CRASH_CALL_BYTES, "exit(%d)", (int)note->address);
    else
        (void)snprintf(text, CRASH_CALL_BYTES, "%s", note->call == CRASH_BY_SIGNAL ? "" : texts[note->call]);
}

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
    if (note->call > CRASH_BY_CLOSING)
        note->call = CRASH_BY_SIGNAL;
    if (note->frame_count > CRASH_FRAMES_MAX)
        note->frame_count = CRASH_FRAMES_MAX;
    if (note->module_count > CRASH_MODULES_MAX)
        note->module_count = CRASH_MODULES_MAX;
    for (uint32_t i = 0; i < note->module_count; i++)
        end_text(note->modules[i].path, sizeof(note->modules[i].path));
}
