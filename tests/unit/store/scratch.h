/* A directory with a database for one test. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "store/store.h"

struct scratch {
    char *dir;           /* owned */
    char *path;          /* owned */
    struct store *store; /* owned */
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int make_scratch(void **state) {
    struct scratch *scratch = xcalloc(1, sizeof(*scratch));

    *state = scratch;
    scratch->dir = xstrdup("/tmp/theseus-store-XXXXXX");
    if (!mkdtemp(scratch->dir))
        return -1;
    scratch->path = path_join(scratch->dir, "state/theseus.db");
    scratch->store = store_new(scratch->path);
    return 0;
}

static int remove_scratch(void **state) {
    struct scratch *scratch = *state;

    scratch->store = store_free(scratch->store);
    int r = nftw(scratch->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(scratch->path);
    free(scratch->dir);
    free(scratch);
    return r;
}

static struct store *store_of(void **state) {
    return ((struct scratch *)*state)->store;
}

#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, make_scratch, remove_scratch)
