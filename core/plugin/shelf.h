/*
 * The shelf: images that are known to be good, kept by their hash in state_dir/images; and for each plugin a file that
 * says which are its own, and which of its images are banned. Servers that share a state_dir share it: whoever changes
 * something holds a lock. A server that begins knows from here what an earlier one has learned.
 *
 * Every function is for any thread and waits for the disk. Nothing is made before the first image is kept or banned.
 */
#pragma once

#include "plugin/ban.h"

enum { SHELF_KEPT = 2 }; /* images of one plugin: the last good one, and the one before */

/* Where an image of that hash is kept, or would be. Owned. */
char *shelf_path(const char *state_dir, const char *hash);
bool shelf_has(const char *state_dir, const char *hash);

struct shelf_image { /* everything is borrowed */
    const char *plugin, *file, *version, *hash;
    const char *path; /* of what is to be kept */
};

/* Keeps the image: the newest good one of its plugin. The oldest is not known any more, and goes with the next sweep.
 */
MUST_CHECK int shelf_keep(const char *state_dir, const struct shelf_image *image, struct theseus_error *err);

/* The youngest good image of the plugin for which `wants` says true and which is there. 0, or SHELF_NONE. Owned texts.
 */
enum { SHELF_NONE = 1 };
typedef bool shelf_wants_fn(void *arg, const char *hash);
MUST_CHECK int shelf_good(const char *state_dir, const char *plugin, shelf_wants_fn *wants, void *arg, char **ret_hash,
                          char **ret_version, struct theseus_error *err);

/* Writes down the bans of a plugin, all of them: an array of ban_pack_new(). */
MUST_CHECK int shelf_write_bans(const char *state_dir, const char *plugin, const json_t *bans,
                                struct theseus_error *err);
/* Visits those of all plugins. A file that cannot be read is passed over; `err` then has the first reason. */
MUST_CHECK int shelf_each_ban(const char *state_dir, ban_visit_fn *visit, void *arg, struct theseus_error *err);

/* Removes the images that no plugin names, and forgets plugins whose file has been gone for LIMIT_SHELF_DAYS. */
MUST_CHECK int shelf_sweep(const char *state_dir, int *ret_removed, struct theseus_error *err);
