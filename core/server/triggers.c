/* Restarts that no client asks for: a signal, and another binary at the path from which the server was started. */
#include "base/log.h"
#include "loop/watch_binary.h"
#include "server/inner.h"
#include "server/restart.h"

static void ask(struct server *server, const char *what) ON_LOOP {
    struct asker by = {.transport = what, .uid = -1};
    struct restart_request request = {.reason = "manual_request",
                                      .graceful = true,
                                      .preserve_state = true,
                                      .timeout_s = server->config->restart.total_restart,
                                      .by = &by};
    struct theseus_error err = {0};

    if (restart_ask(server, &request, &err) < 0)
        log_warning("%s: no restart: %s", what, err.message);
}

static void on_asked(void *arg) {
    loop_enter();
    ask(arg, "signal");
}

/* However many of them have come. */
void triggers_on_signal(void *arg, int signum) {
    struct server *server = arg;

    loop_enter();
    (void)signum;
    if (!server->asked_by_signal.run)
        server->asked_by_signal = (struct loop_task){.run = on_asked, .arg = server};
    loop_defer(server->loop, &server->asked_by_signal);
}

static void on_binary(void *arg) {
    loop_enter();
    log_info("another program stands at the path from which the server was started");
    ask(arg, "watch");
}

static void watch(struct server *server) ON_LOOP {
    struct theseus_error err = {0};
    struct stat running;

    if (fstat(server->exe_fd, &running) < 0)
        (void)fail_errno(&err, "cannot examine the program that runs");
    else
        (void)!watch_binary_new(&server->watch_binary, server->loop, server->started_by, &running,
                                server->config->plugins.settle_ms, on_binary, server, &err);
    if (!server->watch_binary)
        log_warning("restart.watch_binary: %s", err.message);
}

void triggers_apply(struct server *server) {
    bool wanted = server->awake && server->argv && server->config->restart.watch_binary;

    if (!wanted)
        server->watch_binary = watch_binary_free(server->watch_binary);
    else if (server->watch_binary)
        watch_binary_set_settle(server->watch_binary, server->config->plugins.settle_ms);
    else
        watch(server);
}

void triggers_fini(struct server *server) {
    if (server->loop)
        loop_forget(server->loop, &server->asked_by_signal);
    server->watch_binary = watch_binary_free(server->watch_binary);
}
