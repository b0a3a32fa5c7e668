#include "plugin/source.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

struct source *source_new(const char *path, int order, bool is_ini) {
    struct source *source = xcalloc(1, sizeof(*source));

    source->path = xstrdup(path);
    source->order = order;
    source->is_ini = is_ini;
    list_init(&source->link);
    return source;
}

struct source *source_free(struct source *source) {
    if (!source)
        return NULL;
    list_remove(&source->link);
    source->gone = timer_free(source->gone);
    source->sections = config_sections_free(source->sections, source->section_count);
    free(source->refused);
    free(source->path);
    free(source);
    return NULL;
}

void source_refuse(struct source *source, const char *reason) {
    free(source->refused);
    source->refused = reason ? xstrdup(reason) : NULL;
    source->conflict = false;
    source->untrusted = false;
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static void look_at(const struct source *source, struct stat *ret_now) {
    if (stat(source->path, ret_now) < 0)
        memset(ret_now, 0, sizeof(*ret_now)); /* a dangling link: refused when opened, with the system's words */
}

static bool differs(const struct source *source, const struct stat *now) {
    const struct stat *seen = &source->seen;

    if (!source->looked_at || now->st_dev != seen->st_dev || now->st_ino != seen->st_ino ||
        now->st_size != seen->st_size || now->st_mode != seen->st_mode || now->st_uid != seen->st_uid ||
        !same_time(now->st_mtim, seen->st_mtim))
        return true;
    /* A rename to and fro touches this time, too, and leaves the same file; for one that is refused it may be help. */
    return source->refused && !same_time(now->st_ctim, seen->st_ctim);
}

bool source_differs(const struct source *source) {
    struct stat now;

    look_at(source, &now);
    return differs(source, &now);
}

bool source_look(struct source *source) {
    struct stat now;

    look_at(source, &now);
    bool is_other = differs(source, &now);
    source->looked_at = true;
    source->seen = now;
    return is_other;
}

bool source_is_mended(const struct source *source) {
    struct theseus_error err = {0};

    if (!source->untrusted)
        return false;
    CLEANUP(fd_close) int fd = open(source->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && fs_check_trusted(fd, source->path, &err) == 0;
}

void source_read_ini(struct source *source) {
    struct theseus_error err = {0};

    source->sections = config_sections_free(source->sections, source->section_count);
    source->section_count = 0;
    if (source->present &&
        config_load_tools_file(source->path, &source->sections, &source->section_count, NULL, NULL, &err) < 0) {
        source->section_count = 0;
        source_refuse(source, err.message);
        source->untrusted = err.code == ERR_ACCESS;
    } else {
        source_refuse(source, NULL);
    }
}
