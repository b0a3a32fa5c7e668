/* The private place of one transcript: a home, a configuration, a directory of plugins. */
#pragma once

#include "base/buf.h"
#include "base/mem.h"

struct sandbox {
    char *build;                                         /* owned: where theseus and the plugins were built */
    char *program;                                       /* owned */
    char *dir, *home, *work, *plugins, *state, *runtime; /* owned */
    char *config;                                        /* owned: the file */
    char *set_state, *set_runtime, *set_path;            /* owned: for --set */
};

/* A new private directory; `*ret_dir` is owned. It and all that is in it goes with the second. */
MUST_CHECK int sandbox_make_dir(char **ret_dir, struct theseus_error *err);
void sandbox_remove_dir(const char *dir);

MUST_CHECK int sandbox_new(struct sandbox **ret_sandbox, const char *dir, struct theseus_error *err);
struct sandbox *sandbox_free(struct sandbox *sandbox); /* the directory stays */

/* A plugin appears under `file`.so, or replaces the one there, in one step. */
MUST_CHECK int sandbox_plug(struct sandbox *sandbox, const char *plugin, const char *file, struct theseus_error *err);
MUST_CHECK int sandbox_unplug(struct sandbox *sandbox, const char *file, struct theseus_error *err);

/* The environment that hosts give, and nothing else: NULL-terminated, owned. */
char **sandbox_environment_new(const struct sandbox *sandbox);

DEFINE_CLEANUP(struct sandbox *, sandbox_free)
