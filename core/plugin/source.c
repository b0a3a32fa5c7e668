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

bool source_look(struct source *source) {
    struct stat now;

    if (stat(source->path, &now) < 0)
        memset(&now, 0, sizeof(now)); /* a dangling link: refused when it is opened, with the system's words */
    bool differs = !source->looked_at || now.st_dev != source->seen.st_dev || now.st_ino != source->seen.st_ino ||
                   now.st_size != source->seen.st_size || now.st_mode != source->seen.st_mode ||
                   now.st_uid != source->seen.st_uid || !same_time(now.st_mtim, source->seen.st_mtim);
    /* A rename to and fro touches this time, too, and leaves the same file; for one that is refused it may be help. */
    if (source->refused && !same_time(now.st_ctim, source->seen.st_ctim))
        differs = true;
    source->looked_at = true;
    source->seen = now;
    return differs;
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
