#include "connect/renew.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/binary.h"
#include "base/log.h"
#include "connect/left.h"
#include "ledger/memfd.h"
#include "loop/child.h"
#include "loop/watch_binary.h"

#define LEFT_VARIABLE "THESEUS_CONNECT_LEFT"

enum {
    SETTLE_MS = 200, /* a file that is being copied is not complete */
    REST_MS = 200,   /* not idle: then it is looked at again */
    TRIAL_MS = 5000,
};

struct renew {
    struct loop *loop;
    struct relay *relay;
    char *const *argv;
    struct watch_binary *watch; /* owned */
    struct binary candidate;    /* fd -1: none */
    struct child *trial;        /* owned: the candidate says its version */
    struct timer *again;        /* owned: runs while a candidate that is good waits for the work to end */
};

/* ---- the exec ---- */

/* A descriptor with the state; -1. */
static int write_left(const struct relay *relay, struct theseus_error *err) ON_LOOP {
    json_auto_t *left = left_new(relay);
    CLEANUP(free) char *text = left ? json_dumps(left, JSON_COMPACT) : NULL;
    CLEANUP(fd_close) int fd = -1;

    if (!text)
        return fail(err, ERR_MEMORY, "no memory for what the next version has to know");
    if (memfd_new("theseus-connect", &fd, err) < 0)
        return -1;
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return fail_errno(err, "what the next version has to know cannot be written");
    return fd_take(&fd);
}

static int execute(struct renew *renew, struct theseus_error *err) ON_LOOP {
    CLEANUP(fd_close) int left = write_left(renew->relay, err);
    char number[16];

    if (left < 0)
        return -1;
    (void)snprintf(number, sizeof(number), "%d", left);
    if (setenv(LEFT_VARIABLE, number, 1) < 0 || fcntl(left, F_SETFD, 0) < 0)
        return fail_errno(err, "the next version cannot be told what it has to know");
    left_keep_open(renew->relay, true);
    (void)fexecve(renew->candidate.fd, renew->argv, environ);
    (void)fail_errno(err, "'%s' cannot be executed", renew->candidate.path);
    left_keep_open(renew->relay, false);
    (void)unsetenv(LEFT_VARIABLE);
    return -1;
}

static void try_now(void *arg) {
    struct renew *renew = arg;
    struct theseus_error err = {0};

    loop_enter();
    if (renew->relay->over)
        return;
    if (!left_is_possible(renew->relay)) {
        timer_start(renew->again, REST_MS, 0);
        return;
    }
    if (binary_check_unchanged(&renew->candidate, &err) == 0)
        (void)execute(renew, &err);
    log_warning("this version goes on: %s", err.message);
    binary_close(&renew->candidate);
}

/* ---- is it good? ---- */

static void on_trial(void *arg, const struct child_result *result) {
    struct renew *renew = arg;

    loop_enter();
    bool is_good = WIFEXITED(result->wait_status) && WEXITSTATUS(result->wait_status) == 0 && !result->timed_out;
    renew->trial = child_free(renew->trial);
    if (is_good) {
        try_now(renew);
        return;
    }
    log_warning("'%s' has changed and cannot say its version; this one goes on", renew->candidate.path);
    binary_close(&renew->candidate);
}

static void on_change(void *arg) {
    struct renew *renew = arg;
    const char *path = renew->relay->options.program;
    char *argv[] = {renew->argv[0], (char *)"--version", NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = path, .argv = argv, .time_limit_ms = TRIAL_MS};
    struct theseus_error err = {0};

    loop_enter();
    renew->trial = child_free(renew->trial);
    timer_stop(renew->again);
    binary_close(&renew->candidate);
    if (binary_open(&renew->candidate, path, &err) == 0) {
        spec.exec_fd = renew->candidate.fd;
        if (child_start(&renew->trial, renew->loop, &spec, on_trial, renew, &err) == 0)
            return;
    }
    log_warning("this version goes on: %s", err.message);
    binary_close(&renew->candidate);
}

/* ---- making ---- */

int renew_new(struct renew **ret_renew, struct loop *loop, struct relay *relay, char *const *argv,
              struct theseus_error *err) {
    CLEANUP(renew_free) struct renew *renew = xcalloc(1, sizeof(*renew));
    CLEANUP(binary_close) struct binary own = {.fd = -1};

    renew->loop = loop;
    renew->relay = relay;
    renew->argv = argv;
    renew->candidate.fd = -1;
    renew->again = timer_new(loop, try_now, renew);
    if (binary_open_own(&own, err) < 0 ||
        watch_binary_new(&renew->watch, loop, relay->options.program, &own.seen, SETTLE_MS, on_change, renew, err) < 0)
        return -1;
    *ret_renew = TAKE_PTR(renew);
    watch_binary_look((*ret_renew)->watch);
    return 0;
}

struct renew *renew_free(struct renew *renew) {
    if (!renew)
        return NULL;
    renew->trial = child_free(renew->trial);
    renew->watch = watch_binary_free(renew->watch);
    renew->again = timer_free(renew->again);
    binary_close(&renew->candidate);
    free(renew);
    return NULL;
}

json_t *renew_take_left(void) {
    const char *number = getenv(LEFT_VARIABLE);
    CLEANUP(fd_close) int fd = number ? (int)strtol(number, NULL, 10) : -1;

    (void)unsetenv(LEFT_VARIABLE);
    if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return NULL;
    return json_loadfd(fd, JSON_ALLOW_NUL, NULL);
}
