/*
 * Which plugins are kept apart (guest.h): those whose section [plugin:NAME] says .isolation = process. That is decided
 * by the name of the file, NAME.so: before anything in it is loaded nobody knows what the plugin calls itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct config;
struct image;

struct apart {
    bool wanted;
    size_t memory; /* bytes of address space */

    /* As the configuration has them at that moment; for guest_open(). */
    int limit_ms;
};

struct apart apart_of_file(const struct config *config, const char *file);

/* Has its process loaded the plugin that was meant, and was none mapped that should have been kept apart? */
MUST_CHECK int apart_check(const struct config *config, const struct image *image, struct theseus_error *err);

/* Is the image loaded otherwise than the configuration says? */
bool apart_differs(const struct config *config, const struct image *image);

/* Where such a plugin may write: a directory of its own beside the database. Owned. */
char *apart_dir(const char *database, const char *file);
