/*
 * Test-load: a plugin's constructors run for the first time in a child, where a crash or a hang costs nothing. The
 * child is our own binary; it loads and checks one file after the other, calls no slot, and says how far it has got.
 * One that does not come back is blamed on the file it had begun, and another child goes on with the rest.
 *
 * A child that has come to its end has also looked into the database: how far each component's schema is. A server
 * whose plugins find theirs as they know it does not open the database before somebody works with it.
 */
#pragma once

#include <stddef.h>

#include "base/mem.h"
#include "loop/loop.h"

struct testload;

/* What `theseus --test-load [--database=FILE] FILE…` runs: lines of JSON on stdout. Leaves the process itself. */
int testload_main(int count, char *const *words);

struct testload_spec {
    int exe_fd;         /* our own binary; stays the caller's */
    char *const *files; /* copied */
    size_t count;
    const char *database; /* NULL: none is looked into */
    int limit_ms;         /* for each file */
};

/* Once for each file, in their order. `name` is the plugin's, NULL where it failed; `err` NULL: it is good. All text is
 * borrowed, and gone when the test-load is freed. */
typedef void testload_fn(void *arg, const char *file, const char *name, const struct theseus_error *err);
typedef void testload_done_fn(void *arg);

/*
 * `done` comes last; testload_free() may be called in either callback, and before: then no callback comes any more.
 */
MUST_CHECK int testload_start(struct testload **ret_testload, struct loop *loop, const struct testload_spec *spec,
                              testload_fn *fn, testload_done_fn *done, void *arg, struct theseus_error *err) ON_LOOP;

/* For a callback: how many steps of the component's schema the database has; -1: nobody knows. */
int testload_schema(const struct testload *testload, const char *component) ON_LOOP;
struct testload *testload_free(struct testload *testload) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct testload *, testload_free)
