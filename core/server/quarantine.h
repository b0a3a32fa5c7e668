/* What becomes of a plugin whose image has crashed. */
#pragma once

#include "base/thread.h"
#include "server/crash_note.h"

struct server;

/* By the image that arrives, before plugins are loaded: counts the crash, and decides. */
void quarantine_count(struct server *server, const struct crash_note *note) ON_LOOP;

/* Behind quarantine_count(): "reverted", "unloaded" or "still there". */
const char *quarantine_next(const struct server *server, const struct crash_note *note) ON_LOOP;
