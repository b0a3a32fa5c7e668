/*
 * Test-load: a plugin's constructors run for the first time in a child, where a crash or a hang costs nothing. The
 * child is our own binary; it loads and checks one file after the other, calls no slot, and says how far it has got.
 * One that does not come back is blamed on the file it had begun, and another child goes on with the rest.
 */
#pragma once

#include <stddef.h>

#include "base/mem.h"
#include "loop/loop.h"

struct testload;

/* What `theseus --test-load FILE…` runs: lines of JSON on stdout. Leaves the process itself. */
int testload_main(int count, char *const *files);

/* Once for each file, in their order. `name` is the plugin's, NULL where it failed; `err` NULL: it is good. All text is
 * borrowed, and gone when the test-load is freed. */
typedef void testload_fn(void *arg, const char *file, const char *name, const struct theseus_error *err);
typedef void testload_done_fn(void *arg);

/*
 * `exe_fd` is our own binary and stays the caller's; `files` are copied. Each file has `limit_ms` to itself. `done`
 * comes last; testload_free() may be called in either callback, and before: then no callback comes any more.
 */
MUST_CHECK int testload_start(struct testload **ret_testload, struct loop *loop, int exe_fd, char *const *files,
                              size_t count, int limit_ms, testload_fn *fn, void *done_arg, testload_done_fn *done,
                              struct theseus_error *err) ON_LOOP;
struct testload *testload_free(struct testload *testload) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct testload *, testload_free)
