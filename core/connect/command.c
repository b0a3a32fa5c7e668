#include "connect/command.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "connect/inner.h"
#include "connect/renew.h"
#include "loop/signal.h"

static void on_signal(void *arg, int signum) {
    loop_enter();
    (void)signum;
    relay_leave(arg);
}

static int relay_run(const struct relay_options *options, char *const *argv, struct theseus_error *err) {
    loop_enter();
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(relay_free) struct relay *relay = NULL;
    CLEANUP(renew_free) struct renew *renew = NULL;
    json_auto_t *left = renew_take_left();
    struct theseus_error told = {0};
    CLEANUP(signal_watch_free) struct signal_watch *term = NULL;
    CLEANUP(signal_watch_free) struct signal_watch *interrupt = NULL;

    if (!loop)
        return fail_errno(err, "cannot make an event loop");
    if (relay_new(&relay, loop, options, STDIN_FILENO, STDOUT_FILENO, left, err) < 0)
        return -1;
    if (renew_new(&renew, loop, relay, argv, &told) < 0)
        log_warning("a new version of this program is not noticed: %s", told.message);
    term = signal_watch_new(loop, SIGTERM, on_signal, relay);
    interrupt = signal_watch_new(loop, SIGINT, on_signal, relay);
    loop_run(loop);
    lines_flush(relay->client);
    return relay->status;
}

int connect_run(const struct config_source *source, const char *program, char *const *argv, const char *socket,
                bool starts) {
    CLEANUP(config_free) struct config *config = NULL;
    CLEANUP(free) char *directory = getcwd(NULL, 0);
    CLEANUP(free) char *path = NULL;
    struct theseus_error err = {0};
    int status = -1;

    if (config_load(&config, source, NULL, NULL, &err) == 0) {
        path = socket ? path_absolute(directory ? directory : "/", socket) : xstrdup(config->listen.unix_path);
        log_set_level(config->server.log_level);
        struct relay_options options = {.program = program,
                                        .socket = path,
                                        .directory = directory ? directory : "/",
                                        .source = source,
                                        .config = config,
                                        .starts = starts};
        status = relay_run(&options, argv, &err);
    }
    if (status < 0)
        (void)fprintf(stderr, "theseus: %s\n", err.message);
    return status < 0 ? 1 : status;
}
