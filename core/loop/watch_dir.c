#include "loop/watch_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    WATCH_TRIES = 16,         /* to find a place while the directories above come and go */
    WATCH_WRITING_MS = 10000, /* after that a file that is still being written counts as it is */
    WATCH_STATE_GONE = 0,
};

/* Everything that says whether a file is another one than before; 0 is kept for one that is not there. */
static uint64_t hash_stat(const struct stat *st) {
    const uint64_t facts[] = {
        st->st_dev, st->st_ino,  (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
        st->st_uid, st->st_mode,
    };
    uint64_t hash = hash_u64((struct span){(const char *)facts, sizeof(facts)});

    return hash ? hash : 1;
}

static uint64_t identity_of(const char *path) {
    struct stat st;

    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return WATCH_STATE_GONE;
    const uint64_t facts[] = {st.st_dev, st.st_ino, st.st_uid, st.st_mode};
    uint64_t hash = hash_u64((struct span){(const char *)facts, sizeof(facts)});
    return hash ? hash : 1;
}

static char *clean_path(const char *path) {
    char *clean = xstrdup(path);
    char *end = clean;

    for (const char *at = path; *at; at++)
        if (*at != '/' || end == clean || end[-1] != '/')
            *end++ = *at;
    if (end > clean + 1 && end[-1] == '/')
        end--;
    *end = '\0';
    return clean;
}

struct watch_dir *watch_dir_new(const char *path) {
    struct watch_dir *dir = xcalloc(1, sizeof(*dir));

    dir->path = xstrdup(path);
    dir->clean = clean_path(path);
    dir->id = dir->outer_id = -1;
    dir->whole.dir = dir;
    dir->files = map_new();
    return dir;
}

static void free_file(struct span key, void *value, void *arg) {
    struct watch_file *file = value;

    (void)key;
    (void)arg;
    settle_forget(&file->item);
    free(file->name);
    free(file);
}

struct watch_dir *watch_dir_free(struct watch_dir *dir) {
    if (!dir)
        return NULL;
    list_remove(&dir->link);
    settle_forget(&dir->whole.item);
    map_each(dir->files, free_file, NULL);
    dir->files = map_free(dir->files);
    free(dir->awaited);
    free(dir->clean);
    free(dir->path);
    free(dir);
    return NULL;
}

static bool is_dir(const char *path) {
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The nearest directory that exists, `path` itself or one above it. `ret_awaited`: the name below it; both owned. */
static char *nearest(const char *path, char **ret_awaited) {
    CLEANUP(free) char *at = xstrdup(path);
    CLEANUP(free) char *awaited = NULL;

    while (!is_dir(at) && strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
        free(awaited);
        awaited = xstrdup(path_base(at));
        char *above = path_dir(at);
        free(at);
        at = above;
    }
    *ret_awaited = TAKE_PTR(awaited);
    return TAKE_PTR(at);
}

static bool is_symlink(const char *path) {
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static int add(struct watch_dir *dir, struct dirnotify *notify, const char *path) ON_LOOP;

static int add(struct watch_dir *dir, struct dirnotify *notify, const char *path) {
    int id = notify ? dirnotify_add(notify, path) : -1;

    if (id < 0 && notify && errno == ENOSPC && !dir->warned) {
        dir->warned = true;
        log_warning("'%s': no room to watch '%s' (see fs.inotify.max_user_watches); looking at it now and then instead",
                    dir->path, path);
    }
    return id;
}

static void place(struct watch_dir *dir, struct dirnotify *notify, const char *at, char *awaited) ON_LOOP;

/* Takes `awaited`. */
static void place(struct watch_dir *dir, struct dirnotify *notify, const char *at, char *awaited) {
    free(dir->awaited);
    dir->awaited = awaited;
    dir->id = awaited ? -1 : add(dir, notify, at);
    dir->outer_id = awaited ? add(dir, notify, at) : -1;
    if (!awaited && is_symlink(dir->clean)) {
        CLEANUP(free) char *holder = path_dir(dir->clean);
        dir->awaited = xstrdup(path_base(dir->clean));
        dir->outer_id = add(dir, notify, holder);
    }
}

bool watch_dir_locate(struct watch_dir *dir, struct dirnotify *notify) {
    uint64_t before = dir->identity;

    for (int tries = 0; tries < WATCH_TRIES; tries++) {
        char *awaited, *awaited_now;
        CLEANUP(free) char *at = nearest(dir->clean, &awaited);
        place(dir, notify, at, awaited);
        dir->identity = identity_of(dir->clean);
        /* What came between the look and the watch has sent no event: looks again. */
        CLEANUP(free) char *now = nearest(dir->clean, &awaited_now);
        free(awaited_now);
        if (strcmp(at, now) == 0)
            break;
    }
    return dir->identity != before;
}

struct watch_file *watch_dir_file(struct watch_dir *dir, const char *name) {
    struct watch_file *file = map_get(dir->files, span_of(name));

    if (file)
        return file;
    file = xcalloc(1, sizeof(*file));
    file->dir = dir;
    file->name = xstrdup(name);
    (void)map_put(dir->files, span_of(name), file);
    return file;
}

/* Through a symbolic link to the file itself, which changes elsewhere without an event here. Directories do not count.
 */
static uint64_t state_of(int dir_fd, const char *name) {
    struct stat st;

    if (fstatat(dir_fd, name, &st, 0) < 0 && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return WATCH_STATE_GONE;
    return S_ISDIR(st.st_mode) ? WATCH_STATE_GONE : hash_stat(&st);
}

struct look {
    struct watch_dir *dir;
    bool changed;
};

static bool look_at(struct watch_dir *dir, int dir_fd, const char *name, int64_t now_ms) {
    uint64_t state = state_of(dir_fd, name);

    if (state == WATCH_STATE_GONE)
        return false;
    struct watch_file *file = watch_dir_file(dir, name);
    bool written = file->writes_ms && now_ms - file->writes_ms < WATCH_WRITING_MS;
    bool changed = state != file->state && !settle_has(&file->item) && !written;
    file->seen = dir->looks;
    if (!written)
        file->state = state;
    return changed;
}

static void drop_unseen(struct span key, void *value, void *arg) {
    struct watch_file *file = value;
    struct look *look = arg;

    if (file->seen == look->dir->looks || settle_has(&file->item))
        return;
    look->changed = look->changed || file->state != WATCH_STATE_GONE;
    (void)map_take(look->dir->files, key);
    free_file(key, file, NULL);
}

bool watch_dir_look(struct watch_dir *dir, int64_t now_ms) {
    struct look look = {.dir = dir};
    DIR *open_dir = opendir(dir->clean);

    if (!open_dir && errno != ENOENT && errno != ENOTDIR && errno != EACCES)
        return false; /* no memory, no descriptor: it says nothing of what is there */
    dir->looks++;
    for (struct dirent *entry; open_dir && (entry = readdir(open_dir));)
        if (look_at(dir, dirfd(open_dir), entry->d_name, now_ms))
            look.changed = true;
    if (open_dir)
        (void)closedir(open_dir);
    map_each(dir->files, drop_unseen, &look);
    return look.changed;
}

void watch_dir_refresh(struct watch_dir *dir, struct watch_file *file) {
    CLEANUP(free) char *path = path_join(dir->clean, file->name);

    file->state = state_of(AT_FDCWD, path);
    file->writes_ms = 0;
    if (file->state != WATCH_STATE_GONE)
        return;
    (void)map_take(dir->files, span_of(file->name));
    free_file((struct span){0}, file, NULL);
}

bool watch_dir_is_link(const struct watch_dir *dir, const char *name) {
    CLEANUP(free) char *path = path_join(dir->clean, name);
    struct stat st;

    return lstat(path, &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}
