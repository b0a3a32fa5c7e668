/* The program: what the command line asks for. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/testload.h"
#include "server/args.h"
#include "server/commands.h"
#include "server/server.h"

/* A parent may have left signals blocked or ignored, and descriptors closed. */
static void settle_process(void) {
    sigset_t none;
    int fd;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGCHLD, SIG_DFL); /* ignored, the kernel would reap our children unseen */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(), and no reason to end */
    (void)umask(077);
    do
        fd = open("/dev/null", O_RDWR); /* so that 0, 1 and 2 are never some file of ours */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
}

static char *own_path(void) {
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (len < 0)
        return xstrdup("/proc/self/exe");
    path[len] = '\0';
    return xstrdup(path);
}

static void greet_person(const char *program) {
    (void)fprintf(stderr,
                  "theseus %s waits for an MCP client on standard input. To connect one, run:\n"
                  "    %s client claude-code        (or claude-desktop, vscode, cursor, windsurf)\n"
                  "End with Ctrl-D.\n",
                  THESEUS_VERSION, program);
}

static void on_alarm(int signum) {
    (void)signum;
    _exit(0);
}

/* Tidying up may hang in a plugin's code; the client does not wait for that, and what is left is found next time. */
static void limit_tidying(void) {
    struct itimerval limit = {.it_value = {.tv_sec = 0, .tv_usec = SERVER_TIDYING_MS * 1000}};

    (void)signal(SIGALRM, on_alarm);
    (void)setitimer(ITIMER_REAL, &limit, NULL);
}

/* MCP messages are all that may be on stdout: whatever prints in this process prints to stderr. */
static int take_stdout(struct theseus_error *err) {
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return fail_errno(err, "cannot set up standard output");
    return out;
}

static int serve(const struct config_source *source, const char *program, struct theseus_error *err) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct config *config = NULL;
    struct server *server = NULL;

    loop_enter();
    if (isatty(STDIN_FILENO))
        greet_person(program);
    if (config_load(&config, source, NULL, NULL, err) < 0)
        return -1;
    struct server_args args = {
        .source = *source, .in = STDIN_FILENO, .out = take_stdout(err), .transport = "stdio", .program = program};
    if (args.out < 0 || server_new(&server, &args, config, ledger, err) < 0) {
        (void)config_free(config);
        return -1;
    }
    (void)close(args.out);
    int status = server_run(server);
    limit_tidying();
    if (server_is_stuck(server))
        server_abandon(server, status);
    (void)server_free(server);
    return status;
}

static int run(int argc, char **argv, struct theseus_error *err) {
    CLEANUP(args_fini) struct args args = {0};
    CLEANUP(free) char *program = own_path();

    if (args_read(&args, argc, argv, err) < 0)
        return 2;
    struct config_source source = {
        .path = args.config, .sets = args.sets, .set_count = args.set_count, .program = program};
    switch (args.command) {
    case COMMAND_CHECK:
        return command_check(&args, &source, program);
    case COMMAND_CALL:
        return command_call(&args, &source, program);
    case COMMAND_CLIENT:
        return command_client(&args, &source, program);
    case COMMAND_TEST_LOAD:
        return testload_main(args.rest_count, args.rest);
    case COMMAND_VERSION:
        return printf("theseus %s\n", THESEUS_VERSION) < 0;
    case COMMAND_HELP:
        args_print_help(stdout);
        return 0;
    case COMMAND_SERVE:
        break;
    }
    return serve(&source, program, err);
}

int main(int argc, char **argv) {
    struct theseus_error err = {0};

    settle_process();
    int status = run(argc, argv, &err);
    if (err.message[0])
        (void)fprintf(stderr, "theseus: %s\n", err.message);
    log_close();
    return status < 0 ? 1 : status;
}
