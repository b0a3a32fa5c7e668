/* Who asked for something. Strings are borrowed; NULL and a negative uid: not known. */
#pragma once

#include <stdint.h>

struct asker {
    const char *name, *version; /* as the client calls itself */
    const char *transport;      /* "signal", "watch", … where no client asked */
    int64_t uid;
};
