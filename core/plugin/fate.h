/* The process of an isolated plugin has come to an end of its own, and what becomes of the plugin. */
#pragma once

#include <jansson.h>

#include "base/crash_note.h"

/* Everything is borrowed. */
struct plugin_crash {
    const struct crash_note *note; /* plugin, version, hash; tool or slot, where known; signum 0: by no signal */
    const char *how;               /* "crashed with SIGSEGV", "ended by itself (exit status 3)", … */
    const char *remark;            /* what else there is to be known, behind that; empty: nothing */
    json_t *backtrace;             /* lines; may be empty */
    bool counts;                   /* false: a call did not come back, which is no crash */
};

enum fate { FATE_RESTARTED, FATE_REVERTED, FATE_UNLOADED };

struct plugin_fate {
    enum fate next;
    int crashes; /* of that image within crash.window */
};

static inline const char *fate_text(enum fate next) {
    static const char *const texts[] = {"restarted", "reverted", "unloaded"};

    return texts[next];
}
