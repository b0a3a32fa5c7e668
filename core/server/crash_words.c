#include "server/crash_words.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

char *crash_words_where(const struct crash_note *note) {
    char name[CRASH_NAME_BYTES];

    (void)snprintf(name, sizeof(name), "%s", *note->tool ? note->tool : note->slot);
    utf8_mend(name);
    if (*note->tool)
        return xasprintf("tool '%s'", name);
    if (strcmp(note->slot, "thread") == 0)
        return xstrdup("a thread of its own");
    return *note->slot ? xasprintf("its '%s'", name) : xstrdup("");
}

char *crash_words_signal(const struct crash_note *note) {
    const char *name = sigabbrev_np(note->signum);
    char call[CRASH_CALL_BYTES];

    crash_note_call(note, call);
    if (*call)
        return xstrdup(call);
    if (note->signum == 0)
        return xstrdup("");
    return name ? xasprintf("SIG%s", name) : xasprintf("signal %d", note->signum);
}
