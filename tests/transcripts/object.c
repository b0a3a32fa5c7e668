/*
 * The server as an object in this process: what it has recorded in the ledger is all that the next one gets.
 *
 * The process is the transcript's own (a fork of the runner), so its environment and standard error can be changed.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "peer_inner.h"
#include "server/server.h"

struct object {
    const struct sandbox *sandbox; /* borrowed */
    const char *sets[3];           /* borrowed from the sandbox */
    int in, out;                   /* owned */
    struct ledger *ledger;
    struct server *server; /* NULL between two */
};

static int make(struct object *object, struct theseus_error *err) {
    struct server_args args = {
        .source = {.sets = object->sets, .set_count = ARRAY_SIZE(object->sets), .program = object->sandbox->program},
        .in = object->in,
        .out = object->out,
        .transport = "stdio",
        .program = object->sandbox->program,
    };
    struct config *config = NULL;

    loop_enter();
    if (config_load(&config, &args.source, NULL, NULL, err) < 0)
        return -1;
    if (server_new(&object->server, &args, config, object->ledger, err) == 0)
        return 0;
    (void)config_free(config);
    return -1;
}

static int enter_sandbox(const struct sandbox *sandbox, struct theseus_error *err) {
    CLEANUP(free) char *path = path_join(sandbox->dir, "stderr");
    CLEANUP(fd_close) int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char **environment = sandbox_environment_new(sandbox);

    (void)clearenv();
    for (char **variable = environment; *variable; variable++)
        (void)putenv(*variable); /* kept until the end of the process */
    free(environment);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0 || chdir(sandbox->work) < 0)
        return fail_errno(err, "cannot enter '%s'", sandbox->dir);
    return 0;
}

int object_new(struct object **ret_object, const struct sandbox *sandbox, int in, int out, struct theseus_error *err) {
    struct object *object = xcalloc(1, sizeof(*object));

    *object = (struct object){.sandbox = sandbox,
                              .sets = {sandbox->set_state, sandbox->set_runtime, sandbox->set_path},
                              .in = in,
                              .out = out,
                              .ledger = ledger_new()};
    if (enter_sandbox(sandbox, err) < 0 || make(object, err) < 0) {
        (void)object_free(object);
        return -1;
    }
    *ret_object = object;
    return 0;
}

struct object *object_free(struct object *object) {
    if (!object)
        return NULL;
    loop_enter();
    object->server = server_free(object->server);
    object->ledger = ledger_free(object->ledger);
    (void)close(object->in);
    (void)close(object->out);
    log_close();
    free(object);
    return NULL;
}

int object_remake(struct object *object, struct theseus_error *err) {
    loop_enter();
    object->server = server_free(object->server);
    return make(object, err);
}

bool object_turn(struct object *object, int timeout_ms) {
    loop_enter();
    return server_turn(object->server, timeout_ms);
}

bool object_is_over(const struct object *object) {
    loop_enter();
    return server_is_over(object->server);
}
