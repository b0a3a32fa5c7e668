#include "server/args.h"

#include <stdlib.h>
#include <string.h>

#include "config/config.h"

static const struct {
    const char *name;
    enum command command;
    int min, max;           /* of what follows */
    const char *use, *does; /* does NULL: only for the server itself */
} commands[] = {
    {"serve", COMMAND_SERVE, 0, 0, "theseus [serve] [-c FILE] [--set SECTION.KEY=VALUE]... [--listen]",
     "serve MCP on stdin and stdout (the default command); --listen: to clients that connect to a socket, too"},
    {"check", COMMAND_CHECK, 0, 1 << 20, "theseus check [-c FILE] [--deep | PLUGIN.so...]",
     "validate the configuration and its plugins (--deep: all of the database, too), or just these plugins; exit 0 or 1"},
    {"call", COMMAND_CALL, 1, 2, "theseus call [--running [PID]] TOOL [JSON | -] [-c FILE]",
     "run one tool call in a fresh server, or in one that runs (-: JSON on stdin); exit 0, 1 on a tool's error, 2 on a protocol error"},
    {"client", COMMAND_CLIENT, 1, 1, "theseus client NAME",
     "print the configuration for a host: claude-code, claude-desktop, vscode, cursor, windsurf"},
    {"connect", COMMAND_CONNECT, 0, 1, "theseus connect [-c FILE] [--no-start] [SOCKET]",
     "serve MCP on stdin and stdout from the server that all share, which is started if none runs"},
    {"backup", COMMAND_BACKUP, 1, 1, "theseus backup FILE [-c FILE]",
     "write the database and what belongs to it to a new file, while servers run"},
    {"restore", COMMAND_RESTORE, 1, 1, "theseus restore FILE [-c FILE]",
     "make such a file the database, while no server runs; the one before is kept"},
    {"import", COMMAND_IMPORT, 1, 1, "theseus import FILE [-c FILE]",
     "take over the tasks of MCP Task Orchestrator from its tasks.sqlite, also while servers run"},
    {"status", COMMAND_STATUS, 0, 0, "theseus status [--watch] [--json] [-c FILE]",
     "show every server that runs: health, clients, plugins, their numbers, last restarts"},
    {"reload", COMMAND_RELOAD, 0, 1, "theseus reload [PID] [-c FILE]",
     "let a server that runs look at its configuration and plugins; waits for what comes of it"},
    {"restart", COMMAND_RESTART, 0, 1, "theseus restart [PID] [-c FILE]",
     "restart a server under its clients; waits for what comes of it"},
    {"metrics", COMMAND_METRICS, 0, 0, "theseus metrics [-c FILE]",
     "print figures of all servers that run, for Prometheus"},
    {"audit", COMMAND_AUDIT, 0, 0, "theseus audit [--since 7d] [--json] [-c FILE]",
     "print who asked for what, and what came of it"},
    {"--version", COMMAND_VERSION, 0, 0, "theseus --version", "print the version"},
    {"--help", COMMAND_HELP, 0, 0, "theseus --help", "print this"},
    {"--test-load", COMMAND_TEST_LOAD, 1, 1 << 20, "theseus --test-load [--database=FILE] FILE...", NULL},
    /* What follows is the command that is examined; there is only one. */
    {"--preflight", COMMAND_PREFLIGHT, 1, 2, "theseus --preflight ROOM [serve] [--listen]", NULL},
    {"--host-plugin", COMMAND_HOST_PLUGIN, 4, 4, "theseus --host-plugin FILE HASH DIR MEMORY", NULL},
    {"--launch", COMMAND_LAUNCH, 1, 1, "theseus --launch SOCKET", NULL},
    {"--read-sessions", COMMAND_READ_SESSIONS, 0, 0, "theseus --read-sessions", NULL},
};

void args_print_help(FILE *out) {
    (void)fputs("theseus: an MCP server whose tools are replaced while their clients stay connected\n\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (commands[i].does)
            (void)fprintf(out, "  %s\n      %s\n", commands[i].use, commands[i].does);
    (void)fputs("\nThe configuration is FILE, else $THESEUS_CONFIG, else ~/.config/theseus/theseus.ini, else\n"
                "/etc/theseus/theseus.ini, else built in. Signals: SIGHUP looks at configuration and plugins again,\n"
                "SIGUSR2 restarts the server under its clients, SIGTERM and SIGINT end it.\n",
                out);
}

static int unknown(const char *word, struct theseus_error *err) {
    const char *names[ARRAY_SIZE(commands)];

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        names[i] = commands[i].name;
    const char *nearest = config_nearest(word, names, ARRAY_SIZE(commands));
    if (nearest)
        return fail(err, ERR_INVALID, "unknown command '%s'; did you mean '%s'?", word, nearest);
    return fail(err, ERR_INVALID, "unknown command '%s'; theseus --help lists what there is", word);
}

static int read_command(struct args *args, const char *word, size_t *ret_row, struct theseus_error *err) {
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, word) != 0)
            continue;
        args->command = commands[i].command;
        *ret_row = i;
        return 0;
    }
    return unknown(word, err);
}

/* Is it one of the options that are a word? Which commands they are for is looked at later. */
static bool read_word(struct args *args, const char *word) {
    if (strcmp(word, "--json") == 0)
        args->json = true;
    else if (strcmp(word, "--watch") == 0)
        args->watch = true;
    else if (strcmp(word, "--listen") == 0)
        args->listen = true;
    else if (strcmp(word, "--no-start") == 0)
        args->no_start = true;
    else if (strcmp(word, "--running") == 0)
        args->running = true;
    else
        return false;
    return true;
}

/* Where the value of such an option goes; NULL: it is none. */
static const char **value_of(struct args *args, const char *word) {
    if (strcmp(word, "-c") == 0)
        return &args->config;
    if (strcmp(word, "--since") == 0)
        return &args->since;
    return strcmp(word, "--set") == 0 ? &args->sets[args->set_count++] : NULL;
}

/* They may stand anywhere; everything else is kept in its order. */
static int read_options(struct args *args, int argc, char **argv, struct theseus_error *err) {
    for (int i = 1; i < argc; i++) {
        if (read_word(args, argv[i]))
            continue;
        const char **value = value_of(args, argv[i]);
        if (!value) {
            args->rest[args->rest_count++] = argv[i];
            continue;
        }
        if (i + 1 == argc)
            return fail(err, ERR_INVALID, "option %s needs a value", argv[i]);
        *value = argv[++i];
    }
    return 0;
}

/* An option that the command does not know would be ignored. */
static int check_options(const struct args *args, const char *use, struct theseus_error *err) {
    const struct {
        bool given;
        const char *name;
    } options[] = {{args->json, "--json"},     {args->watch, "--watch"},       {args->since != NULL, "--since"},
                   {args->listen, "--listen"}, {args->no_start, "--no-start"}, {args->running, "--running"}};

    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (options[i].given && !strstr(use, options[i].name))
            return fail(err, ERR_INVALID, "%s is not for this command; use: %s", options[i].name, use);
    return 0;
}

int args_read(struct args *ret_args, int argc, char **argv, struct theseus_error *err) {
    size_t row = 0;

    *ret_args = (struct args){
        .command = COMMAND_SERVE,
        .sets = xcalloc((size_t)argc + 1, sizeof(char *)),
        .rest = xcalloc((size_t)argc + 1, sizeof(char *)),
    };
    if (read_options(ret_args, argc, argv, err) < 0)
        return -1;
    if (ret_args->rest_count > 0) {
        if (read_command(ret_args, ret_args->rest[0], &row, err) < 0)
            return -1;
        ret_args->rest_count--;
        memmove(ret_args->rest, ret_args->rest + 1, sizeof(char *) * (size_t)(ret_args->rest_count + 1));
    }
    int max = commands[row].max + ret_args->running; /* the process id */
    if (ret_args->rest_count < commands[row].min || ret_args->rest_count > max)
        return fail(err, ERR_INVALID, "use: %s", commands[row].use);
    return check_options(ret_args, commands[row].use, err);
}

void args_fini(struct args *args) {
    free(args->sets);
    free(args->rest);
    *args = (struct args){0};
}

void args_fini_cleanup(struct args *args) {
    args_fini(args);
}
