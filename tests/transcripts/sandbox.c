#include "sandbox.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"

/* build/tests/transcripts/run → build */
static int find_build(struct sandbox *sandbox, struct theseus_error *err) {
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (len < 0)
        return fail_errno(err, "cannot find this program");
    self[len] = '\0';
    for (int i = 0; i < 3; i++) {
        char *slash = strrchr(self, '/');
        if (slash)
            *slash = '\0';
    }
    sandbox->build = xstrdup(self);
    sandbox->program = path_join(self, "theseus");
    if (access(sandbox->program, X_OK) < 0)
        return fail_errno(err, "there is no server to test at '%s'", sandbox->program);
    return 0;
}

static int make_dir(const struct sandbox *sandbox, const char *name, char **ret_dir, struct theseus_error *err) {
    *ret_dir = path_join(sandbox->dir, name);
    return fs_make_private_dir(*ret_dir, err);
}

int sandbox_make_dir(char **ret_dir, struct theseus_error *err) {
    const char *tmp = getenv("TMPDIR");
    CLEANUP(free) char *template = path_join(tmp && *tmp == '/' ? tmp : "/tmp", "theseus-transcript-XXXXXX");

    if (!mkdtemp(template))
        return fail_errno(err, "cannot make the directory '%s'", template);
    *ret_dir = TAKE_PTR(template);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void sandbox_remove_dir(const char *dir) {
    if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
        perror(dir);
}

static int make_dirs(struct sandbox *sandbox, struct theseus_error *err) {
    if (make_dir(sandbox, "home", &sandbox->home, err) < 0 || make_dir(sandbox, "work", &sandbox->work, err) < 0 ||
        make_dir(sandbox, "plugins", &sandbox->plugins, err) < 0)
        return -1;
    sandbox->state = path_join(sandbox->dir, "state");
    sandbox->runtime = path_join(sandbox->dir, "runtime");
    CLEANUP(free) char *config_dir = path_join(sandbox->home, ".config/theseus");
    sandbox->config = path_join(config_dir, "theseus.ini");
    sandbox->set_state = xasprintf("server.state_dir=%s", sandbox->state);
    sandbox->set_runtime = xasprintf("server.runtime_dir=%s", sandbox->runtime);
    sandbox->set_path = xasprintf("plugins.path=%s", sandbox->plugins);
    return fs_make_private_dir(config_dir, err);
}

int sandbox_new(struct sandbox **ret_sandbox, const char *dir, struct theseus_error *err) {
    CLEANUP(sandbox_free) struct sandbox *sandbox = xcalloc(1, sizeof(*sandbox));

    sandbox->dir = xstrdup(dir);
    if (find_build(sandbox, err) < 0 || make_dirs(sandbox, err) < 0)
        return -1;
    *ret_sandbox = TAKE_PTR(sandbox);
    return 0;
}

struct sandbox *sandbox_free(struct sandbox *sandbox) {
    if (!sandbox)
        return NULL;
    char **owned[] = {&sandbox->build,  &sandbox->program,   &sandbox->dir,         &sandbox->home,
                      &sandbox->work,   &sandbox->plugins,   &sandbox->state,       &sandbox->runtime,
                      &sandbox->config, &sandbox->set_state, &sandbox->set_runtime, &sandbox->set_path};
    for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
        free(*owned[i]);
    free(sandbox);
    return NULL;
}

static char *file_of(const struct sandbox *sandbox, const char *name) {
    CLEANUP(free) char *file = xasprintf("%s.so", name);

    return path_join(sandbox->plugins, file);
}

int sandbox_plug(struct sandbox *sandbox, const char *plugin, const char *file, struct theseus_error *err) {
    CLEANUP(free) char *shipped = xasprintf("%s/plugins/%s.so", sandbox->build, plugin);
    CLEANUP(free) char *fixture = xasprintf("%s/tests/plugins/%s.so", sandbox->build, plugin);
    CLEANUP(free) char *to = file_of(sandbox, file);
    CLEANUP(fd_close) int from = open(shipped, O_RDONLY | O_CLOEXEC);

    if (from < 0)
        from = open(fixture, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return fail_errno(err, "cannot open the plugin '%s'", fixture);
    return fs_copy_fd(from, to, 0700, err);
}

int sandbox_unplug(struct sandbox *sandbox, const char *file, struct theseus_error *err) {
    CLEANUP(free) char *path = file_of(sandbox, file);

    return unlink(path) < 0 ? fail_errno(err, "cannot remove '%s'", path) : 0;
}

char **sandbox_environment_new(const struct sandbox *sandbox) {
    static const char *const kept[] = {"LOGNAME",      "PATH",          "SHELL",        "TERM",        "USER",
                                       "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"};
    char **environment = xcalloc(ARRAY_SIZE(kept) + 2, sizeof(char *));
    size_t count = 0;

    environment[count++] = xasprintf("HOME=%s", sandbox->home);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        if (getenv(kept[i]))
            environment[count++] = xasprintf("%s=%s", kept[i], getenv(kept[i]));
    return environment;
}
