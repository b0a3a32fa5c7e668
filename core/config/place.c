#include "config/place.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "config/words.h"

#ifndef THESEUS_LIBDIR
#define THESEUS_LIBDIR "/usr/local/lib"
#endif
#ifndef THESEUS_SYSCONFDIR
#define THESEUS_SYSCONFDIR "/etc"
#endif

int place_config_files(const struct config_source *source, char ***ret_files, struct theseus_error *err) {
    const char *named = source->path ? source->path : getenv("THESEUS_CONFIG");
    char **files = NULL;

    if (named && *named) {
        CLEANUP(free) char *here = getcwd(NULL, 0);
        if (!here && *named != '/')
            return fail_errno(err, "cannot find '%s' without a current directory", named);
        words_add(&files, path_absolute(here ? here : "/", named));
    } else {
        words_add(&files, path_join(fs_home(), ".config/theseus/theseus.ini"));
        words_add(&files,
                  xstrdup(source->system_file ? source->system_file : THESEUS_SYSCONFDIR "/theseus/theseus.ini"));
    }
    *ret_files = files;
    return 0;
}

/* One that cannot be examined now is not given up for another place, where nothing is: whoever uses it says what is
 * wrong. */
static bool is_directory(const char *path, uid_t owner) {
    struct stat st;

    if (stat(path, &st) < 0)
        return errno != ENOENT && errno != ENOTDIR && errno != EACCES;
    return S_ISDIR(st.st_mode) && (owner == (uid_t)-1 || st.st_uid == owner);
}

char *place_runtime_dir(const char *user_dir, const char *state_dir) {
    return is_directory(user_dir, getuid()) ? path_join(user_dir, "theseus") : path_join(state_dir, "run");
}

char *place_shipped_plugins(const char *program) {
    if (program) {
        CLEANUP(free) char *dir = path_dir(program);
        CLEANUP(free) char *beside = path_join(dir, "plugins");
        if (is_directory(beside, (uid_t)-1))
            return TAKE_PTR(beside);
    }
    return xstrdup(THESEUS_LIBDIR "/theseus/plugins");
}

void place_set_runtime_dir(struct config *config, const struct config_source *source) {
    CLEANUP(free) char *user_dir = xasprintf("/run/user/%u", getuid());

    (void)source;
    config->server.runtime_dir = place_runtime_dir(user_dir, config->server.state_dir);
}

void place_set_socket(struct config *config, const struct config_source *source) {
    (void)source;
    config->listen.unix_path = path_join(config->server.runtime_dir, "theseus.sock");
}

void place_set_key_file(struct config *config, const struct config_source *source) {
    (void)source;
    config->state.key_file = path_join(config->server.state_dir, "key");
}

void place_set_metrics_file(struct config *config, const struct config_source *source) {
    (void)source;
    config->metrics.file = xstrdup("");
}

void place_set_plugin_path(struct config *config, const struct config_source *source) {
    words_add(&config->plugins.path, path_join(fs_home(), ".local/share/theseus/plugins"));
    words_add(&config->plugins.path, place_shipped_plugins(source->program));
}
