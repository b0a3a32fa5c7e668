#include "connect/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "connect/dial.h"
#include "loop/child.h"

enum {
    READY_MS = 20000, /* for the server to listen; migrations of its database are done behind that */
    LOOK_MS = 5,      /* how often that is looked at */
    MAX_WORDS = 4096, /* of what a server says that ends */
    SPARE_ARGS = 8,
};

struct launch {
    struct loop *loop;
    const char *program;
    const struct config_source *source;
    char *socket; /* owned */
    launch_fn *fn;
    void *arg;
    struct child *child; /* owned */
};

/* ---- on the side of `theseus connect` ---- */

/* The lock; -1 with an error, or without one: somebody else has it. */
static int take_lock(const char *socket, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(socket);
    CLEANUP(free) char *path = path_join(dir, "launch.lock");

    if (access(dir, F_OK) < 0 && fs_make_private_dir(dir, err) < 0)
        return -1;
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(err, "'%s' cannot be made", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -1 : fail_errno(err, "'%s' cannot be locked", path);
    return fd_take(&fd);
}

static void on_end(void *arg, const struct child_result *result) {
    struct launch *launch = arg;
    CLEANUP(free) char *words = xstrndup(result->output.data ? result->output.data : "", result->output.len);
    bool serves = WIFEXITED(result->wait_status) && WEXITSTATUS(result->wait_status) == 0;

    loop_enter();
    launch->child = child_free(launch->child);
    launch->fn(launch->arg, serves ? NULL : words[0] ? words : "it ended without a word");
}

/* `first` …, -c FILE, --set …: NULL-terminated, owned array of borrowed texts. */
static char **arguments(const char *const *first, const struct config_source *source, const char *set) {
    char **argv = xcalloc(SPARE_ARGS + 2 * source->set_count, sizeof(char *));
    size_t count = 0;

    while (*first)
        argv[count++] = (char *)*first++;
    if (source->path) {
        argv[count++] = (char *)"-c";
        argv[count++] = (char *)source->path;
    }
    for (size_t i = 0; i < source->set_count; i++) {
        argv[count++] = (char *)"--set";
        argv[count++] = (char *)source->sets[i];
    }
    if (set) {
        argv[count++] = (char *)"--set";
        argv[count++] = (char *)set;
    }
    return argv;
}

enum { LAUNCH_ELSEWHERE = 1 };

static int start(struct launch *launch, struct theseus_error *err) ON_LOOP {
    CLEANUP(fd_close) int lock = take_lock(launch->socket, err);
    const char *first[] = {launch->program, "--launch", launch->socket, NULL};
    CLEANUP(free) char **argv = arguments(first, launch->source, NULL);

    if (lock < 0)
        return err->code ? -1 : LAUNCH_ELSEWHERE;
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = launch->program, .argv = argv, .time_limit_ms = 2 * READY_MS,
                              .max_output = MAX_WORDS};
    spec.stdin_fd = lock;
    return child_start(&launch->child, launch->loop, &spec, on_end, launch, err);
}

bool launch_try(struct launch *launch) {
    struct theseus_error err = {0};

    if (launch->child)
        return true;
    int r = start(launch, &err);
    if (r < 0)
        launch->fn(launch->arg, err.message);
    return r != LAUNCH_ELSEWHERE;
}

bool launch_runs(const struct launch *launch) {
    return launch->child != NULL;
}

struct launch *launch_new(struct loop *loop, const char *program, const struct config_source *source,
                          const char *socket, launch_fn *fn, void *arg) {
    struct launch *launch = xcalloc(1, sizeof(*launch));

    launch->loop = loop;
    launch->program = program;
    launch->source = source;
    launch->socket = xstrdup(socket);
    launch->fn = fn;
    launch->arg = arg;
    return launch;
}

struct launch *launch_free(struct launch *launch) {
    if (!launch)
        return NULL;
    launch->child = child_free(launch->child);
    free(launch->socket);
    free(launch);
    return NULL;
}

/* ---- the process in between ---- */

/* A session of its own: signals for the host's process group are not for a server that others use, too. */
static int spawn_server(const char *program, char **argv, int words_fd, pid_t *ret_pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;

    if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attr) != 0)
        abort();
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, words_fd, STDERR_FILENO);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
    int r = posix_spawn(ret_pid, program, &actions, &attr, argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    errno = r;
    return r == 0 ? 0 : -1;
}

/* What it says on its way out. It holds the other end as long as it lives: only what is there now is read. */
static void repeat_words(int fd) {
    char words[MAX_WORDS];

    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t n = read(fd, words, sizeof(words));
    if (n > 0)
        (void)fwrite(words, 1, (size_t)n, stdout);
}

/* 0: somebody listens. 1: the server has ended, or does not come to that. */
static int await_server(pid_t pid, const char *socket) {
    int64_t end = clock_now_ns() + (int64_t)READY_MS * 1000000;
    int status;

    while (clock_now_ns() < end) {
        CLEANUP(fd_close) int fd = dial(socket, NULL);
        if (fd >= 0)
            return 0;
        if (waitpid(pid, &status, WNOHANG) == pid)
            return 1;
        (void)poll(NULL, 0, LOOK_MS);
    }
    return 1;
}

int launch_main(const char *program, const struct config_source *source, const char *socket) {
    CLEANUP(free) char *set = xasprintf("listen.unix=%s", socket);
    const char *first[] = {program, "serve", "--listen", NULL};
    CLEANUP(free) char **argv = arguments(first, source, set);
    CLEANUP(fd_close) int there = dial(socket, NULL);
    int words[2] = {-1, -1};
    pid_t pid = 0;

    if (there >= 0)
        return 0; /* it came while we did */
    if (pipe2(words, O_CLOEXEC) < 0 || spawn_server(program, argv, words[1], &pid) < 0) {
        (void)printf("'%s' cannot be started: %s", program, strerror(errno));
        return 1;
    }
    (void)close(words[1]);
    int status = await_server(pid, socket);
    if (status != 0)
        repeat_words(words[0]);
    (void)close(words[0]);
    return status;
}
