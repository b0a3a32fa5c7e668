/*
 * A private copy of a plugin's file, perhaps mapped. The file itself is never mapped: whoever writes it would take the
 * code from under us.
 *
 * Messages say what is wrong with "it"; whoever asked puts the name of the file in front.
 */
#pragma once

#include <stdbool.h>

#include "base/mem.h"

struct guest;
struct guest_spec;
struct image;
struct imagedir;
struct theseus_plugin;

enum { IMAGE_GONE = 0, IMAGE_PINNED = 1 }; /* outcomes of image_unload() */

/*
 * Copies `file` into the directory, which is opened if need be, and looks at what it copied. `generation` is a number
 * that the caller gives once only. A file that changes meanwhile is ERR_BUSY: somebody still writes it.
 */
MUST_CHECK int image_copy(struct image **ret_image, struct imagedir *dir, const char *file, unsigned generation,
                          struct theseus_error *err);

/* The same for what is kept elsewhere (`from`) and was a copy of `file`; its hash must be this one. */
MUST_CHECK int image_copy_kept(struct image **ret_image, struct imagedir *dir, const char *from, const char *hash,
                               const char *file, unsigned generation, struct theseus_error *err);

/* A private copy that is there already. `hash` NULL: whatever its content is. */
MUST_CHECK int image_adopt(struct image **ret_image, const char *path, const char *file, const char *hash,
                           struct theseus_error *err);

/* Removes the private copy unless told to keep it. One that is still loaded is unloaded, for better or worse. */
struct image *image_free(struct image *image);
void image_keep_file(struct image *image);
void image_drop_file(struct image *image); /* it is removed after all */

/* It is to be kept apart: image_load() does not map it, but has a process of its own do so. The spec is copied; which
 * file it is, is the image's to say. */
void image_set_apart(struct image *image, const struct guest_spec *spec);
const struct guest_spec *image_spec(const struct image *image); /* borrowed; NULL: it is mapped */
struct guest *image_guest(const struct image *image);           /* borrowed; NULL: it is mapped, or not loaded */

/* Maps it, which runs its constructors, and finds the plugin in it. On any one thread. */
MUST_CHECK int image_load(struct image *image, struct theseus_error *err);

/* Whose it is, for base/modules.h: said once it is known that what it says of itself can be read. */
void image_tell_name(const struct image *image, const char *name, const char *version);

/* Unmaps it and looks whether it is gone. IMAGE_PINNED: something keeps it; to ask again later collects it if it can
 * be. */
MUST_CHECK int image_unload(struct image *image);

/* Of our size, whatever the size of the plugin's own: what that lacks is zero. NULL: not loaded. Borrowed. */
const struct theseus_plugin *image_plugin(const struct image *image);
bool image_contains(const struct image *image, const void *address); /* also while pinned */

const char *image_file(const struct image *image); /* what it was copied from */
const char *image_path(const struct image *image); /* the copy */
const char *image_hash(const struct image *image);

DEFINE_CLEANUP(struct image *, image_free)
