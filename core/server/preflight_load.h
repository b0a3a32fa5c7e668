/* In the child of a preflight: the plugin images that the ledger names, loaded one after the other; no slot is called.
 * Those that are proposed stand for what they are to replace. */
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "config/config.h"
#include "ledger/ledger.h"

/* A plugin that is to serve. */
struct subject {
    char *name, *file;   /* owned; file: what its image was copied from */
    char *path, *hash;   /* owned; the image */
    struct image *image; /* owned; NULL: it could not be loaded */
    int exe_fd;          /* owned: the program that runs, for one that is kept apart */
};

struct subjects {
    struct subject *items; /* owned, in the order of names */
    size_t count;
};

/* Those that the ledger names, but for what the configuration has disabled meanwhile. Nothing is loaded yet. */
void subjects_read(struct subjects *subjects, struct ledger *ledger, const struct config *config);
void subjects_fini_cleanup(struct subjects *subjects); /* unloads nothing: a child leaves without that */

/*
 * Loads it and checks it, and its settings. An image that this version does not take gives way to the file that it was
 * copied from, which may be newer.
 */
MUST_CHECK int subject_load(struct subject *subject, const struct config *config, struct theseus_error *err);
