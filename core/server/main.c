/* The program: what the command line asks for. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fatal.h"
#include "base/log.h"
#include "connect/command.h"
#include "connect/launch.h"
#include "ledger/ledgerfile.h"
#include "loop/thread.h"
#include "plugin/inside.h"
#include "plugin/testload.h"
#include "server/args.h"
#include "server/commands.h"
#include "server/copies.h"
#include "server/handover.h"
#include "server/heir.h"
#include "server/preflight.h"
#include "server/program.h"
#include "server/restart.h"
#include "server/server.h"
#include "server/sessions.h"
#include "server/settings.h"
#include "server/supervisor.h"
#include "server/wayback.h"
#include "store/damage.h"
#include "store/store.h"

static void unblock_signals(void) {
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A parent may have left signals blocked or ignored, and descriptors closed. What an image before has blocked stays so
 * until there are handlers: one of those signals may be waiting. */
static void settle_process(void) {
    int fd;

    (void)pthread_setname_np(pthread_self(),
                             "theseus"); /* executed by its descriptor, it would be called by a number */

    if (!getenv(HANDOVER_VARIABLE)) {
        unblock_signals();
        (void)signal(SIGALRM, SIG_IGN); /* from the kernel's timer alone it means something, to a new image */
    }
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

/* Both copies of what says that the file is a ledger are damaged. One that is only too new is the image before's. */
static int begin_anew(struct ledger **ret_ledger, const struct handover *handover, struct theseus_error *err) {
    if (err->code != ERR_INVALID)
        return -1;
    log_error("the ledger cannot be read: %s; what clients have asked for is lost, their connection goes on",
              err->message);
    *err = (struct theseus_error){0};
    return ledger_create_damaged(ret_ledger, handover->ledger_fd, err);
}

/* The ledger that an image before has left. */
static int open_ledger(struct ledger **ret_ledger, const struct handover *handover, struct theseus_error *err) {
    if (ledger_open(ret_ledger, handover->ledger_fd, err) < 0 && begin_anew(ret_ledger, handover, err) < 0)
        return error_prefix(err, "the ledger that was handed over cannot be read: ");
    if (wayback_set_ledger(*ret_ledger, err) < 0)
        return -1; /* before the descriptors are sealed: the image before needs them */
    handover_seal(*ret_ledger);
    return 0;
}

static int begin_ledger(struct ledger **ret_ledger, struct server_args *args, const struct config *config,
                        struct theseus_error *err) {
    int r = args->listens ? heir_open_ledger(ret_ledger, args, config, err) : ledger_create(ret_ledger, -1, err);

    if (r == 0 && !args->is_heir)
        ledger_be_lean(*ret_ledger, true); /* until the server wakes */
    return r;
}

/* Nobody is there, or a person: a server with a socket serves that alone. */
static bool is_no_client(int fd) {
    struct stat st, null;

    return isatty(fd) || fstat(fd, &st) < 0 ||
           (stat("/dev/null", &null) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == null.st_rdev);
}

static int make_server(struct server **ret_server, struct server_args *args, struct ledger **ledger,
                       struct theseus_error *err) ON_LOOP {
    struct config *config = NULL;

    if (settings_load(&config, &args->source, args->follows ? *ledger : NULL, &args->keeps_settings, err) < 0)
        return -1;
    args->in = args->listens && is_no_client(STDIN_FILENO) ? -1 : STDIN_FILENO;
    bool has_come = args->follows; /* by an exec: the client's descriptors, too */
    int r = has_come ? 0 : begin_ledger(ledger, args, config, err);
    args->out = has_come || r < 0 ? -1 : take_stdout(err);
    if (r == 0)
        r = !has_come && args->out < 0 ? -1 : server_new(ret_server, args, config, *ledger, err);
    if (args->out >= 0)
        (void)close(args->out);
    if (r < 0)
        (void)config_free(config);
    return r;
}

static int serve(const struct config_source *source, const char *program, char *const *argv, bool listens,
                 struct theseus_error *err) {
    CLEANUP(ledger_free) struct ledger *ledger = NULL;
    CLEANUP(free) char *started_by = program_started_by(argv[0], program);
    struct server *server = NULL;
    struct handover handover;

    loop_enter();
    damage_watch();
    store_tune();
    handover_find(&handover);
    if (handover.ledger_fd >= 0)
        thread_make_ahead(); /* what served is brought back on one */
    struct server_args args = {.source = *source,
                               .transport = "stdio",
                               .program = program,
                               .argv = argv,
                               .started_by = started_by,
                               .follows = handover.ledger_fd >= 0,
                               .is_back = handover.is_back,
                               .is_crash = handover.is_crash,
                               .is_torn = handover.is_torn,
                               .listens = listens};
    if (supervisor_find_socket(&args.given, err) < 0)
        return -1;
    args.is_given = args.given >= 0;
    args.listens |= args.is_given;
    if (handover.back_fd >= 0 && wayback_open(&handover, argv, err) < 0)
        return -1;
    if (!args.follows && !args.listens && isatty(STDIN_FILENO))
        greet_person(program);
    if ((args.follows && open_ledger(&ledger, &handover, err) < 0) || make_server(&server, &args, &ledger, err) < 0) {
        arrival_give_up(ledger, err);
        if (ledger && !args.follows)
            ledgerfile_remove(ledger_fd(ledger)); /* nothing is in it yet */
        return -1;
    }
    unblock_signals();
    int status = server_run(server);
    limit_tidying();
    if (server_is_stuck(server))
        server_abandon(server, status);
    (void)server_free(server);
    copies_end(ledger);
    ledgerfile_remove(ledger_fd(ledger)); /* a server that leaves has told all that there is to tell */
    return status;
}

static int run(int argc, char **argv, struct theseus_error *err) {
    CLEANUP(args_fini) struct args args = {0};
    CLEANUP(free) char *program = program_path();

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
    case COMMAND_CONNECT:
        return connect_run(&source, program, argv, args.rest[0], !args.no_start);
    case COMMAND_LAUNCH:
        return launch_main(program, &source, args.rest[0]);
    case COMMAND_BACKUP:
        return command_backup(&args, &source, program);
    case COMMAND_RESTORE:
        return command_restore(&args, &source, program);
    case COMMAND_IMPORT:
        return command_import(&args, &source, program);
    case COMMAND_STATUS:
        return command_status(&args, &source, program);
    case COMMAND_RELOAD:
        return command_reload(&args, &source, program);
    case COMMAND_RESTART:
        return command_restart(&args, &source, program);
    case COMMAND_METRICS:
        return command_metrics(&args, &source, program);
    case COMMAND_AUDIT:
        return command_audit(&args, &source, program);
    case COMMAND_TEST_LOAD:
        return testload_main(args.rest_count, args.rest);
    case COMMAND_HOST_PLUGIN:
        return inside_main(args.rest);
    case COMMAND_PREFLIGHT:
        preflight_main(&source, args.rest[0]);
    case COMMAND_READ_SESSIONS:
        return sessions_read_command();
    case COMMAND_VERSION:
        return printf("theseus %s\n", THESEUS_VERSION) < 0;
    case COMMAND_HELP:
        args_print_help(stdout);
        return 0;
    case COMMAND_SERVE:
        break;
    }
    return serve(&source, program, argv, args.listen, err);
}

static void on_thread_ends(void *arg) {
    (void)arg;
    fatal_thread_ends();
}

/* A plugin's code on this thread may end it, as on any other. */
static int run_to_the_end(int argc, char **argv, struct theseus_error *err) {
    volatile int status = 0;

    pthread_cleanup_push(on_thread_ends, NULL);
    status = run(argc, argv, err);
    pthread_cleanup_pop(0);
    return status;
}

int main(int argc, char **argv) {
    struct theseus_error err = {0};

    settle_process();
    int status = run_to_the_end(argc, argv, &err);
    thread_drop_ahead();
    if (err.message[0])
        (void)fprintf(stderr, "theseus: %s\n", err.message);
    log_close();
    return status < 0 ? 1 : status;
}
