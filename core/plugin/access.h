/* Whether a run may begin, by what [access] says of its tool and of whose client asks. */
#pragma once

#include "base/error.h"

struct run;

/* ACCESS_HIDDEN: for that client there is no such tool. Else -1 with the reason. Whoever is told to say either is
 * noted. Any thread. */
enum { ACCESS_HIDDEN = 1 };
MUST_CHECK int access_check(const struct run *run, const char *name, struct theseus_error *err);
