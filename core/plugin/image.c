#include "plugin/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <theseus/plugin.h>

#include "base/blame.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/modules.h"
#include "plugin/amends.h"
#include "plugin/elf.h"
#include "plugin/guest.h"
#include "plugin/imagedir.h"
#include "plugin/mapping.h"

struct image {
    char *file, *path; /* path NULL: there is no copy yet */
    char hash[HASH_TEXT_BYTES];
    struct mapping mapping;
    struct theseus_plugin plugin; /* meaningful while loaded */
    bool loaded, keep_file;
    bool apart;
    struct guest_spec spec; /* where it is apart */
    struct guest *guest;    /* owned: where it is apart, while it is loaded */
};

static struct image *image_new(const char *file) {
    struct image *image = xcalloc(1, sizeof(*image));

    image->file = xstrdup(file);
    return image;
}

struct image *image_free(struct image *image) {
    if (!image)
        return NULL;
    if (image->loaded)
        (void)!image_unload(image);
    if (image->path && !image->keep_file)
        (void)unlink(image->path); /* best effort: the directory goes as a whole in the end */
    (void)guest_free(image->guest);
    free((char *)(uintptr_t)image->spec.dir);
    free(image->path);
    free(image->file);
    free(image);
    return NULL;
}

void image_keep_file(struct image *image) {
    image->keep_file = true;
}

void image_drop_file(struct image *image) {
    image->keep_file = false;
}

const struct theseus_plugin *image_plugin(const struct image *image) {
    return image->loaded ? &image->plugin : NULL;
}

bool image_contains(const struct image *image, const void *address) {
    return mapping_contains(&image->mapping, address);
}

const char *image_file(const struct image *image) {
    return image->file;
}

const char *image_path(const struct image *image) {
    return image->path;
}

const char *image_hash(const struct image *image) {
    return image ? image->hash : ""; /* there is none where a test makes a generation by itself */
}

/* ---- the copy ---- */

static int open_plugin(const char *file, int *ret_fd, struct stat *ret_stat, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a FIFO would wait */

    if (fd < 0 || fstat(fd, ret_stat) < 0)
        return fail_errno(err, "cannot open '%s'", file);
    if (!S_ISREG(ret_stat->st_mode))
        return fail(err, ERR_INVALID, "is not a regular file");
    if (fs_check_trusted(fd, file, err) < 0)
        return -1;
    *ret_fd = fd_take(&fd);
    return 0;
}

static bool same_moment(const struct stat *before, const struct stat *after) {
    return before->st_size == after->st_size && before->st_mtim.tv_sec == after->st_mtim.tv_sec &&
           before->st_mtim.tv_nsec == after->st_mtim.tv_nsec;
}

/* Everything is found out about the copy, which nobody writes, and not about the file, which somebody may. Bytes with
 * the hash `known` were examined before. */
static int examine_copy(struct image *image, const char *known, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(image->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(err, "cannot open '%s'", image->path);
    if (hash_fd(fd, image->hash, err) < 0)
        return -1;
    return known && strcmp(known, image->hash) == 0 ? 0 : elf_check(fd, image->path, err);
}

static int copy_content(struct image *image, const char *from, const char *path, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = -1;
    struct stat before, after;

    if (open_plugin(from, &fd, &before, err) < 0 || fs_copy_fd(fd, path, 0700, err) < 0)
        return -1;
    image->path = xstrdup(path);
    if (fstat(fd, &after) < 0)
        return fail_errno(err, "cannot examine '%s'", from);
    if (!same_moment(&before, &after))
        return fail(err, ERR_BUSY, "is still being written");
    return examine_copy(image, NULL, err);
}

/* `hash` NULL: whatever it has. */
static int copy(struct image **ret_image, struct imagedir *dir, const char *from, const char *hash, const char *file,
                unsigned generation, struct theseus_error *err) {
    CLEANUP(image_free) struct image *image = image_new(file);

    if (imagedir_open(dir, err) < 0)
        return -1;
    CLEANUP(free) char *draft = imagedir_name(dir, file, generation, "unchecked");
    if (copy_content(image, from, draft, err) < 0)
        return -1;
    if (hash && strcmp(hash, image->hash) != 0)
        return fail(err, ERR_INVALID, "'%s' was changed (hash %s, recorded was %s)", from, image->hash, hash);
    CLEANUP(free) char *path = imagedir_name(dir, file, generation, image->hash);
    if (rename(draft, path) < 0)
        return fail_errno(err, "cannot rename '%s' to '%s'", draft, path);
    free(image->path);
    image->path = TAKE_PTR(path);
    *ret_image = TAKE_PTR(image);
    return 0;
}

int image_copy(struct image **ret_image, struct imagedir *dir, const char *file, unsigned generation,
               struct theseus_error *err) {
    return copy(ret_image, dir, file, NULL, file, generation, err);
}

int image_copy_kept(struct image **ret_image, struct imagedir *dir, const char *from, const char *hash,
                    const char *file, unsigned generation, struct theseus_error *err) {
    return copy(ret_image, dir, from, hash, file, generation, err);
}

int image_adopt(struct image **ret_image, const char *path, const char *file, const char *hash,
                struct theseus_error *err) {
    CLEANUP(image_free) struct image *image = image_new(file);

    image->keep_file = true; /* a file that is not what it should be is evidence, not ours to remove */
    image->path = xstrdup(path);
    if (examine_copy(image, hash, err) < 0)
        return -1;
    if (hash && strcmp(hash, image->hash) != 0)
        return fail(err, ERR_INVALID, "its private copy '%s' was changed (hash %s, recorded was %s)", path, image->hash,
                    hash);
    image->keep_file = false;
    *ret_image = TAKE_PTR(image);
    return 0;
}

/* ---- the mapping ---- */

static int check_abi(const struct theseus_plugin *plugin, size_t object_size, struct theseus_error *err) {
    const size_t least = offsetof(struct theseus_plugin, description); /* what is mandatory */

    if (object_size < 2 * sizeof(uint32_t))
        return fail(err, ERR_INVALID, "exports a symbol 'theseus_plugin' that is no struct theseus_plugin");
    if (plugin->abi != THESEUS_ABI)
        return fail(err, ERR_INVALID,
                    "was built for ABI %u of the plugin contract, this server has ABI %u; build it against this "
                    "server's <theseus/plugin.h>",
                    plugin->abi, (unsigned)THESEUS_ABI);
    if (plugin->size > sizeof(*plugin))
        return fail(err, ERR_NEWER,
                    "was built for a newer server: its struct theseus_plugin has %u bytes, this server knows %zu",
                    plugin->size, sizeof(*plugin));
    if (plugin->size < least || plugin->size > object_size || plugin->size % sizeof(void *) != 0)
        return fail(err, ERR_INVALID,
                    "says a wrong size of its struct theseus_plugin (%u bytes); set .size = sizeof(struct "
                    "theseus_plugin)",
                    plugin->size);
    return 0;
}

static int find_plugin(struct image *image, struct theseus_error *err) {
    size_t object_size = 0;
    const struct theseus_plugin *plugin = mapping_object(&image->mapping, "theseus_plugin", &object_size);

    if (!plugin)
        return fail(
            err, ERR_INVALID,
            "exports no symbol 'theseus_plugin'; is 'const struct theseus_plugin theseus_plugin' defined, is the "
            "file a Theseus plugin?");
    if (check_abi(plugin, object_size, err) < 0)
        return -1;
    image->plugin = (struct theseus_plugin){0};
    memcpy(&image->plugin, plugin, plugin->size);
    return 0;
}

void image_set_apart(struct image *image, const struct guest_spec *spec) {
    image->apart = true;
    image->spec = *spec;
    image->spec.dir = spec->dir ? xstrdup(spec->dir) : NULL;
}

const struct guest_spec *image_spec(const struct image *image) {
    return image->apart ? &image->spec : NULL;
}

struct guest *image_guest(const struct image *image) {
    return image ? image->guest : NULL;
}

static int load_apart(struct image *image, struct theseus_error *err) {
    image->spec.file = image->path;
    image->spec.hash = image->hash;
    if (guest_open(&image->guest, &image->spec, err) < 0)
        return -1;
    image->plugin = *guest_plugin(image->guest);
    image->loaded = true;
    return 0;
}

/* Constructors run while the name of the plugin is not known yet: that of its file has to do. */
static char *name_by_file(const struct image *image) {
    const char *base = path_base(image->file);
    size_t len = strlen(base);

    return xstrndup(base, len > 3 && strcmp(base + len - 3, ".so") == 0 ? len - 3 : len);
}

static int load_here(struct image *image, struct theseus_error *err) {
    CLEANUP(free) char *name = name_by_file(image);
    CLEANUP(blame_end)
    struct blame *blame = blame_begin(&(struct blame){.plugin = name, .version = "", .hash = image->hash});

    blame->slot = "load";
    int r = mapping_open(&image->mapping, image->path, err);
    amends_look(blame);
    if (r < 0)
        return -1;
    if (find_plugin(image, err) < 0) {
        (void)!mapping_close(&image->mapping, image->path);
        return -1;
    }
    image->loaded = true;
    return 0;
}

int image_load(struct image *image, struct theseus_error *err) {
    if (image->loaded)
        return 0;
    return image->apart ? load_apart(image, err) : load_here(image, err);
}

void image_tell_name(const struct image *image, const char *name, const char *version) {
    if (!image->apart)
        modules_name(image->mapping.start, name, version, image->hash);
}

int image_unload(struct image *image) {
    image->loaded = false;
    if (image->apart) {
        guest_close(image->guest); /* who has called it may look at it until the image goes */
        return IMAGE_GONE;
    }
    return mapping_close(&image->mapping, image->path) == MAPPING_GONE ? IMAGE_GONE : IMAGE_PINNED;
}
