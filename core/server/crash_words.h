/* What a crash note says, in words. */
#pragma once

#include "base/crash_note.h"

char *crash_words_signal(const struct crash_note *note); /* "SIGSEGV", "exit(3)". Owned */
char *crash_words_where(const struct crash_note *note);  /* "tool 'x'", "its 'start'"; empty: not known. Owned */
