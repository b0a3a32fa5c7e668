#include "connect/command.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "connect/inner.h"
#include "loop/signal.h"

static void on_signal(void *arg, int signum) {
    loop_enter();
    (void)signum;
    relay_end(arg, 0);
}

static int relay_run(const struct relay_options *options, struct theseus_error *err) {
    loop_enter();
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(relay_free) struct relay *relay = NULL;
    CLEANUP(signal_watch_free) struct signal_watch *term = NULL, *interrupt = NULL;

    if (!loop)
        return fail_errno(err, "cannot make an event loop");
    if (relay_new(&relay, loop, options, STDIN_FILENO, STDOUT_FILENO, err) < 0)
        return -1;
    term = signal_watch_new(loop, SIGTERM, on_signal, relay);
    interrupt = signal_watch_new(loop, SIGINT, on_signal, relay);
    loop_run(loop);
    lines_flush(relay->client);
    return relay->status;
}

int connect_run(const struct config_source *source, const char *program, const char *socket, bool starts) {
    CLEANUP(config_free) struct config *config = NULL;
    CLEANUP(free) char *directory = getcwd(NULL, 0);
    CLEANUP(free) char *path = NULL;
    struct theseus_error err = {0};
    int status = -1;

    if (config_load(&config, source, NULL, NULL, &err) == 0) {
        path = socket ? path_absolute(directory ? directory : "/", socket)
                      : path_join(config->server.runtime_dir, "theseus.sock");
        log_set_level(config->server.log_level);
        struct relay_options options = {.program = program,
                                        .socket = path,
                                        .directory = directory ? directory : "/",
                                        .source = source,
                                        .config = config,
                                        .starts = starts};
        status = relay_run(&options, &err);
    }
    if (status < 0)
        (void)fprintf(stderr, "theseus: %s\n", err.message);
    return status < 0 ? 1 : status;
}
