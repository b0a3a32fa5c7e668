#include "plugin/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/limits.h"
#include "base/map.h"
#include "rpc/jsontext.h"

enum { NOTE_MAX = 1 << 20 };

/* ---- places ---- */

static char *dir_of(const char *state_dir) {
    return path_join(state_dir, "images");
}

static char *file_of(const char *state_dir, const char *name, const char *end) {
    return xasprintf("%s/images/%s%s", state_dir, name, end);
}

char *shelf_path(const char *state_dir, const char *hash) {
    return file_of(state_dir, hash, ".so");
}

bool shelf_has(const char *state_dir, const char *hash) {
    CLEANUP(free) char *path = shelf_path(state_dir, hash);

    return access(path, F_OK) == 0;
}

/* Whoever goes back to it finds out. */
static bool may_have(const char *state_dir, const char *hash) {
    CLEANUP(free) char *path = shelf_path(state_dir, hash);

    return access(path, F_OK) == 0 || errno != ENOENT;
}

/* For as long as the descriptor is open nobody else changes anything here. */
static int lock(const char *state_dir, int *ret_fd, struct theseus_error *err) {
    CLEANUP(free) char *dir = dir_of(state_dir);
    CLEANUP(free) char *path = path_join(dir, "lock");

    if (fs_make_private_dir(dir, err) < 0)
        return -1;
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        return fail_errno(err, "cannot lock '%s'", path);
    *ret_fd = fd_take(&fd);
    return 0;
}

/* ---- what is known of a plugin ---- */

static bool ends_with(const char *name, const char *end) {
    size_t len = strlen(name), end_len = strlen(end);

    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* New reference in `ret_note`: of a file that is not there, an empty object. */
static int read_note(const char *path, json_t **ret_note, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf text = {0};

    if (access(path, F_OK) < 0 && errno == ENOENT) {
        *ret_note = json_object();
        return 0;
    }
    if (fs_read_file(path, NOTE_MAX, &text, err) < 0)
        return -1;
    json_t *note = jsontext_read(buf_span(&text), err);
    if (!note)
        return error_prefix(err, "'%s': ", path);
    *ret_note = note;
    return 0;
}

static int write_note(const char *state_dir, const char *plugin, const json_t *note, struct theseus_error *err) {
    CLEANUP(free) char *path = file_of(state_dir, plugin, ".json");
    CLEANUP(buf_fini) struct buf text = {0};

    if (jsontext_write(note, &text, err) < 0 || buf_append(&text, span_of("\n"), err) < 0)
        return error_prefix(err, "'%s': ", path);
    return fs_write_file(path, buf_span(&text), 0600, err);
}

/* New reference in `ret_note`. One that makes no sense is begun anew: what it said is lost, and what comes must not be.
 * One that could not be read may make sense. */
static int note_of(const char *state_dir, const char *plugin, json_t **ret_note, struct theseus_error *err) {
    CLEANUP(free) char *path = file_of(state_dir, plugin, ".json");
    struct theseus_error why = {0};
    json_t *note = NULL;

    if (read_note(path, &note, &why) < 0 && (why.code == ERR_SYSTEM || why.code == ERR_MEMORY))
        return fail(err, why.code, "%s", why.message);
    if (!json_is_object(note)) {
        json_decref(note);
        note = json_object();
    }
    (void)json_object_set_new(note, "plugin", json_string(plugin));
    *ret_note = note;
    return 0;
}

/* ---- keeping ---- */

static const char *hash_of(const json_t *image) {
    const char *hash = json_string_value(json_object_get(image, "hash"));

    return hash ? hash : "";
}

/* The list with this image as the first one. */
static json_t *put_first_new(const json_t *good, const struct shelf_image *image) {
    json_t *list = json_pack("[{s:s, s:s}]", "hash", image->hash, "version", image->version), *other;
    size_t i;

    json_array_foreach (good, i, other)
        if (json_array_size(list) < SHELF_KEPT && strcmp(hash_of(other), image->hash) != 0)
            (void)json_array_append(list, other);
    return list;
}

static int copy_image(const char *state_dir, const struct shelf_image *image, struct theseus_error *err) {
    CLEANUP(free) char *path = shelf_path(state_dir, image->hash);

    if (access(path, F_OK) == 0)
        return 0;
    CLEANUP(fd_close) int fd = open(image->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "cannot open '%s'", image->path);
    return fs_copy_fd(fd, path, 0700, err);
}

int shelf_keep(const char *state_dir, const struct shelf_image *image, struct theseus_error *err) {
    CLEANUP(fd_close) int held = -1;
    json_auto_t *note = NULL;

    if (lock(state_dir, &held, err) < 0 || copy_image(state_dir, image, err) < 0 ||
        note_of(state_dir, image->plugin, &note, err) < 0)
        return -1;
    (void)json_object_set_new(note, "file", json_string(image->file)); /* NULL, and without effect: it is no UTF-8 */
    if (json_object_set_new(note, "good", put_first_new(json_object_get(note, "good"), image)) < 0)
        return fail(err, ERR_MEMORY, "no memory to note an image of plugin '%s'", image->plugin);
    return write_note(state_dir, image->plugin, note, err);
}

int shelf_good(const char *state_dir, const char *plugin, shelf_wants_fn *wants, void *arg, char **ret_hash,
               char **ret_version, struct theseus_error *err) {
    CLEANUP(free) char *path = file_of(state_dir, plugin, ".json");
    json_auto_t *note = NULL;
    json_t *image;
    size_t i;

    if (read_note(path, &note, err) < 0)
        return -1;
    json_array_foreach (json_object_get(note, "good"), i, image) {
        const char *version = json_string_value(json_object_get(image, "version"));
        if (!*hash_of(image) || !wants(arg, hash_of(image)) || !may_have(state_dir, hash_of(image)))
            continue;
        *ret_hash = xstrdup(hash_of(image));
        *ret_version = xstrdup(version ? version : "");
        return 0;
    }
    return SHELF_NONE;
}

/* ---- bans ---- */

int shelf_write_bans(const char *state_dir, const char *plugin, const json_t *bans, struct theseus_error *err) {
    CLEANUP(fd_close) int held = -1;
    CLEANUP(free) char *path = file_of(state_dir, plugin, ".json");
    json_auto_t *note = NULL;

    if (json_array_size(bans) == 0 && access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    if (lock(state_dir, &held, err) < 0 || note_of(state_dir, plugin, &note, err) < 0)
        return -1;
    if (json_object_set(note, "banned", (json_t *)(uintptr_t)bans) < 0)
        return fail(err, ERR_MEMORY, "no memory to note the bans of plugin '%s'", plugin);
    return write_note(state_dir, plugin, note, err);
}

/* Calls `visit` for each file of the directory whose name ends so. */
typedef int name_fn(void *arg, const char *path, const char *name, struct theseus_error *err);

static int each_name(const char *state_dir, name_fn *visit, void *arg, struct theseus_error *err) {
    CLEANUP(free) char *dir_path = dir_of(state_dir);
    DIR *dir = opendir(dir_path);
    int r = 0;

    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, "cannot read the directory '%s'", dir_path);
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir)); errno = 0) {
        CLEANUP(free) char *path = path_join(dir_path, entry->d_name);
        if (visit(arg, path, entry->d_name, err) < 0)
            r = -1;
    }
    if (errno)
        r = fail_errno(err, "cannot read the directory '%s'", dir_path);
    (void)closedir(dir);
    return r;
}

struct visiting {
    ban_visit_fn *visit;
    void *arg;
};

static int visit_bans(void *arg, const char *path, const char *name, struct theseus_error *err) {
    const struct visiting *visiting = arg;
    json_auto_t *note = NULL;
    json_t *packed;
    size_t i;

    if (!ends_with(name, ".json"))
        return 0;
    if (read_note(path, &note, err) < 0)
        return -1;
    json_array_foreach (json_object_get(note, "banned"), i, packed) {
        CLEANUP(ban_fini) struct ban ban = {0};
        if (ban_unpack(&ban, packed, err) < 0)
            return error_prefix(err, "'%s': ", path);
        visiting->visit(visiting->arg, &ban);
    }
    return 0;
}

int shelf_each_ban(const char *state_dir, ban_visit_fn *visit, void *arg, struct theseus_error *err) {
    struct visiting visiting = {visit, arg};

    return each_name(state_dir, visit_bans, &visiting, err);
}

/* ---- the sweep ---- */

struct sweeping {
    struct map *named; /* file names of images */
    int removed;
};

/* Is the plugin's file gone, and has nothing been learned of it for so long? */
static bool is_forgotten(const char *path, const json_t *note) {
    const char *file = json_string_value(json_object_get(note, "file"));
    struct stat st;

    return stat(path, &st) == 0 && time(NULL) - st.st_mtime > LIMIT_SHELF_DAYS * 86400 &&
           (!file || (access(file, F_OK) < 0 && errno == ENOENT));
}

static int gather_named(void *arg, const char *path, const char *name, struct theseus_error *err) {
    const struct sweeping *sweeping = arg;
    json_auto_t *note = NULL;
    json_t *image;
    size_t i;

    if (!ends_with(name, ".json"))
        return 0;
    if (read_note(path, &note, err) < 0)
        return -1;
    if (is_forgotten(path, note))
        return unlink(path) < 0 ? fail_errno(err, "cannot remove '%s'", path) : 0;
    json_array_foreach (json_object_get(note, "good"), i, image) {
        CLEANUP(free) char *file = xasprintf("%s.so", hash_of(image));
        (void)map_put(sweeping->named, span_of(file), sweeping->named);
    }
    return 0;
}

/* Images, and drafts of files that nobody is writing any more. */
static int remove_unnamed(void *arg, const char *path, const char *name, struct theseus_error *err) {
    struct sweeping *sweeping = arg;
    bool draft = strstr(name, ".new-");

    if (!draft && (!ends_with(name, ".so") || map_get(sweeping->named, span_of(name))))
        return 0;
    if (unlink(path) < 0)
        return fail_errno(err, "cannot remove '%s'", path);
    sweeping->removed += !draft;
    return 0;
}

int shelf_sweep(const char *state_dir, int *ret_removed, struct theseus_error *err) {
    CLEANUP(free) char *dir = dir_of(state_dir);
    CLEANUP(map_free) struct map *named = map_new();
    CLEANUP(fd_close) int held = -1;
    struct sweeping sweeping = {.named = named};

    *ret_removed = 0;
    if (access(dir, F_OK) < 0)
        return 0;
    if (lock(state_dir, &held, err) < 0 || each_name(state_dir, gather_named, &sweeping, err) < 0 ||
        each_name(state_dir, remove_unnamed, &sweeping, err) < 0)
        return -1;
    *ret_removed = sweeping.removed;
    return 0;
}
