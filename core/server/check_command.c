/*
 * `theseus check`: is the configuration good, and are the plugins? Problems go to stderr, one a line, as FILE:LINE:
 * text. With names of files it looks at just those plugins. They are test-loaded in a child, as a server does it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "loop/loop.h"
#include "plugin/apart.h"
#include "plugin/contract.h"
#include "plugin/elf.h"
#include "plugin/guest.h"
#include "plugin/image.h"
#include "plugin/testload.h"
#include "server/commands.h"
#include "server/server.h"
#include "server/trial.h"
#include "store/archive.h"

struct check {
    struct loop *loop;
    int exe_fd;
    int problems, good;
};

static void problem(struct check *check, const char *file, int line, const char *text) {
    check->problems++;
    if (line > 0)
        (void)fprintf(stderr, "%s:%d: %s\n", file, line, text);
    else
        (void)fprintf(stderr, "%s: %s\n", file, text);
}

static void on_config_problem(void *arg, const char *file, int line, const char *text) {
    problem(arg, file ? file : "theseus", line, text);
}

/* What is looked at before a file is ever loaded: who could have written it, and is it a shared object? */
static int look(const char *path, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(err, "cannot be opened");
    return fs_check_trusted(fd, path, err) < 0 ? -1 : elf_check(fd, path, err);
}

static void on_tested(void *arg, const char *file, const char *name, const struct theseus_error *err) {
    struct check *check = arg;

    (void)name;
    if (err)
        problem(check, file, 0, err->message);
    else
        check->good++;
}

static void on_done(void *arg) {
    struct check *check = arg;

    loop_enter();
    loop_stop(check->loop);
}

static void test_load(struct check *check, char *const *files, size_t count, int limit_ms) {
    struct theseus_error err = {0};
    struct testload *testload = NULL;

    loop_enter();
    if (count == 0)
        return;
    const struct testload_spec spec = {.exe_fd = check->exe_fd, .files = files, .count = count, .limit_ms = limit_ms};
    if (testload_start(&testload, check->loop, &spec, on_tested, on_done, check, &err) < 0)
        problem(check, files[0], 0, err.message);
    else
        loop_run(check->loop);
    (void)testload_free(testload);
}

/* A name without a slash means a file here; the dynamic linker would look for it among the system's libraries. */
static char *here(const char *file) {
    return strchr(file, '/') ? xstrdup(file) : path_join(".", file);
}

/* A plugin that is to be isolated is not loaded in the open, nor on trial. */
static void load_apart(struct check *check, const char *file, const struct apart *apart) {
    CLEANUP(image_free) struct image *image = NULL;
    struct theseus_error err = {0};
    struct tool **tools;
    size_t count;

    if (image_adopt(&image, file, file, NULL, &err) == 0) {
        image_keep_file(image);
        image_set_apart(
            image, &(struct guest_spec){.exe_fd = check->exe_fd, .memory = apart->memory, .limit_ms = apart->limit_ms});
    }
    if (!image || image_load(image, &err) < 0 || contract_check(image_plugin(image), &tools, &count, &err) < 0) {
        problem(check, file, 0, err.message);
        return;
    }
    contract_tools_free(tools, count);
    check->good++;
}

static void check_files(struct check *check, const struct config *config, char **names, size_t count) {
    const int limit_ms = config->restart.process_startup * 1000;
    CLEANUP(free) char **files = xcalloc(count + 1, sizeof(char *));
    CLEANUP(free) char **sound = xcalloc(count + 1, sizeof(char *));
    size_t sound_count = 0;

    for (size_t i = 0; i < count; i++) {
        struct theseus_error err = {0};
        files[i] = here(names[i]);
        const struct apart apart = apart_of_file(config, files[i]);
        if (look(files[i], &err) < 0)
            problem(check, files[i], 0, err.message);
        else if (apart.wanted)
            load_apart(check, files[i], &apart);
        else
            sound[sound_count++] = files[i];
    }
    test_load(check, sound, sound_count, limit_ms);
    for (size_t i = 0; i < count; i++)
        free(files[i]);
}

/* A file that was refused, or a setting: the reason begins with its place where it has one. */
static void refused(struct check *check, const char *file, const char *reason) {
    check->problems++;
    if (strncmp(reason, file, strlen(file)) == 0 || (reason[0] == '/' && strstr(reason, ".ini:")))
        (void)fprintf(stderr, "%s\n", reason);
    else
        (void)fprintf(stderr, "%s: %s\n", file, reason);
}

static void rehearse(struct check *check, struct server *server) {
    json_t *item;
    size_t i;

    loop_enter();
    server_load(server);
    while (!server_is_loaded(server))
        (void)server_turn(server, 100);
    json_auto_t *all = server_refused_new(server);
    json_array_foreach (all, i, item)
        refused(check, json_string_value(json_object_get(item, "file")),
                json_string_value(json_object_get(item, "reason")));
    json_auto_t *warnings = server_warnings_new(server);
    json_array_foreach (warnings, i, item)
        (void)fprintf(stderr, "%s (a warning)\n", json_string_value(item));
    check->good += server_plugin_count(server);
}

/* The copy of the database for the rehearsal. NULL: there can be none, and no rehearsal. */
static struct trial *make_trial(struct check *check, const struct config *config) {
    struct trial *trial = NULL;
    struct theseus_error err = {0};

    if (trial_new(&trial, &err) < 0 || trial_copy(trial, config->server.state_dir, &err) < 0)
        problem(check, "theseus", 0, err.message);
    return trial;
}

static void print_versions(struct check *check, const struct trial *trial) {
    struct theseus_error err = {0};

    if (trial_print_versions(trial, stdout, &err) < 0)
        problem(check, "theseus", 0, err.message);
    (void)fflush(stdout);
}

/* Takes the configuration. */
static void rehearse_start(struct check *check, struct config *config, const struct config_source *source,
                           const char *program) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(trial_free) struct trial *trial = make_trial(check, config);
    struct theseus_error err = {0};
    struct server *server = NULL;
    int pair[2];

    loop_enter();
    if (!trial) {
        (void)config_free(config);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        (void)fail_errno(&err, "cannot make a socket pair");
        problem(check, "theseus", 0, err.message);
        (void)config_free(config);
        return;
    }
    struct server_args args = {.source = *source,
                               .in = pair[1],
                               .out = pair[1],
                               .transport = "stdio",
                               .program = program,
                               .database = trial_database(trial),
                               .rehearsal = true};
    if (server_new(&server, &args, config, ledger, &err) < 0) {
        problem(check, "theseus", 0, err.message);
        (void)config_free(config);
    } else {
        rehearse(check, server);
    }
    bool stuck = server && server_is_stuck(server);
    if (!stuck)
        server = server_free(server);
    print_versions(check, trial);
    if (stuck) {
        trial = trial_free(trial); /* nobody comes back from there */
        server_abandon(server, 1);
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void on_artifact(void *arg, const char *text) {
    problem(arg, "theseus", 0, text);
}

/* All of the database, which takes as long as reading it. */
static void check_deeply(struct check *check, const struct config *config) {
    CLEANUP(free) char *database = path_join(config->server.state_dir, "theseus.db");
    const struct artifacts_listener listener = {.tell = on_artifact, .arg = check};
    struct theseus_error err = {0};
    const int before = check->problems;
    size_t named;

    if (access(database, F_OK) < 0 && errno == ENOENT) {
        (void)printf("database: there is none yet\n");
    } else if (archive_examine(database, &listener, &named, &err) < 0) {
        CLEANUP(free)
        char *text = xasprintf("%s; end the servers, and put a backup back: theseus restore FILE", err.message);
        problem(check, "theseus", 0, text);
    } else {
        (void)printf("database: every page, index and reference of %s holds\n", database);
        if (check->problems == before)
            (void)printf("artifacts: %zu files, each as its row says\n", named);
    }
}

static void on_other_problem(void *arg, const char *file, int line, const char *text) {
    (void)arg;
    (void)fprintf(stderr, "%s:%d: %s (no matter for the files that are checked: they are, with the defaults)\n",
                  file ? file : "theseus", line, text);
}

/* What stands in a configuration that nobody has named says nothing of these files. */
static void check_only_files(struct check *check, const struct args *args, const struct config_source *source) {
    const struct config_source defaults = {.path = "/dev/null", .text = {"", 0}, .program = source->program};
    bool is_meant = source->path || source->set_count > 0;
    struct config *config = NULL;
    struct theseus_error err = {0};

    int r = config_load(&config, source, is_meant ? on_config_problem : on_other_problem, check, &err);
    if (r < 0 && !is_meant)
        r = config_load(&config, &defaults, on_config_problem, check, &err);
    if (r < 0 && check->problems == 0)
        problem(check, "theseus", 0, err.message);
    if (r < 0)
        return;
    check_files(check, config, args->rest, (size_t)args->rest_count);
    (void)config_free(config);
}

static void check_all(struct check *check, const struct args *args, const struct config_source *source,
                      const char *program) {
    struct config *config = NULL;
    struct theseus_error err = {0};

    bool deep = args->rest_count == 1 && strcmp(args->rest[0], "--deep") == 0;
    if (args->rest_count > 0 && !deep) {
        check_only_files(check, args, source);
        return;
    }
    int r = config_load(&config, source, on_config_problem, check, &err);
    if (r < 0 && check->problems == 0)
        problem(check, "theseus", 0, err.message);
    if (r < 0)
        return;
    (void)printf("configuration: %s%s\n", config->file,
                 config->file_exists ? "" : " (is not there: built-in defaults)");
    if (deep)
        check_deeply(check, config);
    config->server.log_level = LOG_ERROR; /* what is refused is said by us */
    rehearse_start(check, config, source, program);
}

int command_check(const struct args *args, const struct config_source *source, const char *program) {
    struct check check = {.loop = loop_new(), .exe_fd = open(program, O_RDONLY | O_CLOEXEC)};

    loop_enter();
    if (!check.loop || check.exe_fd < 0) {
        perror("theseus");
        return 1;
    }
    check_all(&check, args, source, program);
    check.loop = loop_free(check.loop);
    (void)close(check.exe_fd);
    (void)printf("%d plugin%s good, %d problem%s\n", check.good, check.good == 1 ? " is" : "s are", check.problems,
                 check.problems == 1 ? "" : "s");
    return check.problems > 0;
}
