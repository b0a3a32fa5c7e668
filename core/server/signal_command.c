/*
 * `theseus reload [PID]` and `theseus restart [PID]`: a signal to a server that runs, and what became of it, which the
 * server says in its sign (presence.c).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/commands.h"
#include "server/onlooker.h"
#include "server/signs.h"

enum { LOOK_MS = 20, RELOAD_WAIT_MS = 60000, RESTART_SPARE_MS = 10000 };

struct request {
    const struct config *config;
    json_t *before; /* owned: the sign of the server that was signalled */
    long pid;
};

/* Borrowed from `signs`; NULL: it has gone. */
static const json_t *look(const struct request *request, const json_t *signs) {
    struct theseus_error err = {0};

    return signs_choose(signs, request->pid, &err);
}

typedef int settled_fn(const json_t *before, const json_t *now); /* the exit status; negative: not yet */

/* Turns until it has settled. -1: it has not, within the time. */
static int await(const struct request *request, settled_fn *settled, int limit_ms, struct theseus_error *err) {
    int64_t end = clock_now_ns() + limit_ms * INT64_C(1000000);

    while (clock_now_ns() < end) {
        json_auto_t *signs = signs_read(request->config->server.runtime_dir);
        const json_t *now = look(request, signs);
        if (!now)
            return fail(err, ERR_MISSING, "server %ld has gone", request->pid);
        int status = settled(request->before, now);
        if (status >= 0)
            return status;
        (void)poll(NULL, 0, LOOK_MS);
    }
    return fail(err, ERR_TIMEOUT, "server %ld has not said within %d s what became of it; its log may", request->pid,
                limit_ms / 1000);
}

static int choose(struct request *request, const struct args *args, struct theseus_error *err) {
    json_auto_t *signs = signs_read(request->config->server.runtime_dir);
    long pid = args->rest_count > 0 ? strtol(args->rest[0], NULL, 10) : 0;

    if (args->rest_count > 0 && pid <= 0)
        return fail(err, ERR_INVALID, "'%s' is no process id", args->rest[0]);
    const json_t *sign = signs_choose(signs, pid, err);
    if (!sign)
        return -1;
    request->before = json_deep_copy(sign);
    request->pid = (long)json_integer_value(json_object_get(sign, "pid"));
    return 0;
}

static int send(const struct request *request, int signum, struct theseus_error *err) {
    if (kill((pid_t)request->pid, signum) < 0)
        return fail_errno(err, "server %ld cannot be told", request->pid);
    return 0;
}

/* ---- reload ---- */

static json_int_t looks_of(const json_t *sign) {
    return json_integer_value(json_object_get(json_object_get(sign, "look"), "count"));
}

static int reloaded(const json_t *before, const json_t *now) {
    const json_t *health = json_object_get(now, "health");
    const json_t *refused = json_object_get(json_object_get(json_object_get(health, "checks"), "plugins"), "refused");
    const char *outcome = json_string_value(json_object_get(json_object_get(now, "look"), "outcome"));
    const json_t *file;
    size_t i;

    if (looks_of(now) <= looks_of(before))
        return -1;
    (void)printf("configuration: %s\n", outcome ? outcome : "not looked at");
    json_array_foreach (refused, i, file)
        (void)printf("refused: %s: %s\n", json_string_value(json_object_get(file, "file")),
                     json_string_value(json_object_get(file, "reason")));
    return json_array_size(refused) > 0 || (outcome && strncmp(outcome, "refused", 7) == 0);
}

/* ---- restart ---- */

static int restarted(const json_t *before, const json_t *now) {
    const json_t *then = json_object_get(before, "restart"), *last = json_object_get(now, "restart"), *error;
    const char *phase = json_string_value(json_object_get(last, "phase"));
    size_t i;

    if (!phase || json_equal(json_object_get(then, "started_at"), json_object_get(last, "started_at")))
        return -1;
    bool failed = strcmp(phase, "failed") == 0;
    if (!failed && strcmp(phase, "complete") != 0)
        return -1;
    (void)printf("%s\n", json_string_value(json_object_get(last, "message")));
    json_array_foreach (json_object_get(last, "errors"), i, error)
        (void)printf("%s\n", json_is_string(error) ? json_string_value(error) : "");
    return failed;
}

static int signal_and_wait(const struct args *args, const struct config_source *source, int signum,
                           settled_fn *settled) {
    CLEANUP(config_free) struct config *config = NULL;
    struct theseus_error err = {0};
    int status = -1;

    if (onlooker_load(&config, source, &err) == 0) {
        struct request request = {.config = config};
        int limit_ms = signum == SIGHUP ? RELOAD_WAIT_MS : config->restart.total_restart * 1000 + RESTART_SPARE_MS;
        if (choose(&request, args, &err) == 0 && send(&request, signum, &err) == 0)
            status = await(&request, settled, limit_ms, &err);
        json_decref(request.before);
    }
    if (status < 0)
        (void)fprintf(stderr, "theseus: %s\n", err.message);
    return status < 0 ? 1 : status;
}

int command_reload(const struct args *args, const struct config_source *source, const char *program) {
    (void)program;
    return signal_and_wait(args, source, SIGHUP, reloaded);
}

int command_restart(const struct args *args, const struct config_source *source, const char *program) {
    (void)program;
    return signal_and_wait(args, source, SIGUSR2, restarted);
}
