/* A file in a plugin directory: a shared object, or an INI file with tools. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/list.h"
#include "config/config.h"
#include "loop/timer.h"

struct plugin;

struct source {
    struct list link;
    char *path; /* owned */
    int order;  /* of its directory: the first one wins */
    bool is_ini, present;
    struct stat seen;                /* when it was last looked at */
    struct timer *gone;              /* owned: while it is missing */
    int64_t gone_due_ms;             /* when that is taken as final */
    struct plugin *plugin;           /* that is served from it; borrowed; NULL: none */
    char *refused;                   /* owned: why it is not served (as it is now); NULL: nothing is wrong */
    bool conflict;                   /* refused for a name that another one has: tried again when one goes */
    bool untrusted;                  /* refused because others could have written it: tried again when they cannot */
    bool restored;                   /* what it held before a restart serves, and it was not looked at since */
    bool looked_at;                  /* `seen` holds something */
    int candidates;                  /* being loaded */
    struct config_section *sections; /* of an INI file, owned */
    size_t section_count;
};

struct source *source_new(const char *path, int order, bool is_ini);
struct source *source_free(struct source *source) ON_LOOP;
void source_refuse(struct source *source, const char *reason); /* NULL: it is good again */
/* Looks at the file. True: it differs from what was seen last. */
bool source_look(struct source *source);
bool source_differs(const struct source *source); /* the same, and nothing is seen by it */
/* It was refused because others could have written it, and nobody else can any more. */
bool source_is_mended(const struct source *source);
/* Parses an INI file again; what is wrong with it makes it refused, and it then has no sections. */
void source_read_ini(struct source *source);
