/*
 * `theseus check`: is the configuration good, and are the plugins? Problems go to stderr, one a line, as FILE:LINE:
 * text. With names of files it looks at just those plugins. They are test-loaded in a child, as a server does it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "loop/loop.h"
#include "plugin/elf.h"
#include "plugin/testload.h"
#include "server/commands.h"

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
    if (testload_start(&testload, check->loop, check->exe_fd, files, count, limit_ms, on_tested, check, on_done, &err) <
        0)
        problem(check, files[0], 0, err.message);
    else
        loop_run(check->loop);
    (void)testload_free(testload);
}

static void check_files(struct check *check, char **files, size_t count, int limit_ms) {
    CLEANUP(free) char **sound = xcalloc(count + 1, sizeof(char *));
    size_t sound_count = 0;

    for (size_t i = 0; i < count; i++) {
        struct theseus_error err = {0};
        if (look(files[i], &err) < 0)
            problem(check, files[i], 0, err.message);
        else
            sound[sound_count++] = files[i];
    }
    test_load(check, sound, sound_count, limit_ms);
}

static int wanted(const struct dirent *entry) {
    size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 3 && strcmp(entry->d_name + len - 3, ".so") == 0;
}

static void check_dir(struct check *check, const struct config *config, const char *dir) {
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, wanted, alphasort);
    char **files = xcalloc((size_t)(count > 0 ? count : 0) + 1, sizeof(char *));

    for (int i = 0; i < count; i++) {
        files[i] = path_join(dir, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    check_files(check, files, (size_t)(count > 0 ? count : 0), config->restart.process_startup * 1000);
    for (int i = 0; i < count; i++)
        free(files[i]);
    free(files);
}

static void check_tools_files(struct check *check, const char *dir) {
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        const char *end = strrchr(entries[i]->d_name, '.');
        if (entries[i]->d_name[0] != '.' && end && strcmp(end, ".ini") == 0) {
            CLEANUP(free) char *path = path_join(dir, entries[i]->d_name);
            struct config_section *sections = NULL;
            size_t section_count = 0;
            if (config_load_tools_file(path, &sections, &section_count, on_config_problem, check, NULL) == 0)
                (void)config_sections_free(sections, section_count);
        }
        free(entries[i]);
    }
    free(entries);
}

static void check_all(struct check *check, const struct args *args, const struct config_source *source) {
    CLEANUP(config_free) struct config *config = NULL;
    struct theseus_error err = {0};

    int r = config_load(&config, source, on_config_problem, check, &err);
    if (r < 0 && check->problems == 0)
        problem(check, "theseus", 0, err.message);
    if (r < 0)
        return;
    if (args->rest_count > 0) {
        check_files(check, args->rest, (size_t)args->rest_count, config->restart.process_startup * 1000);
        return;
    }
    (void)printf("configuration: %s%s\n", config->file,
                 config->file_exists ? "" : " (is not there: built-in defaults)");
    for (char **dir = config->plugins.path; *dir; dir++) {
        check_dir(check, config, *dir);
        check_tools_files(check, *dir);
    }
}

int command_check(const struct args *args, const struct config_source *source, const char *program) {
    struct check check = {.loop = loop_new(), .exe_fd = open(program, O_RDONLY | O_CLOEXEC)};

    loop_enter();
    if (!check.loop || check.exe_fd < 0) {
        perror("theseus");
        return 1;
    }
    check_all(&check, args, source);
    check.loop = loop_free(check.loop);
    (void)close(check.exe_fd);
    (void)printf("%d plugin%s good, %d problem%s\n", check.good, check.good == 1 ? " is" : "s are", check.problems,
                 check.problems == 1 ? "" : "s");
    return check.problems > 0;
}
