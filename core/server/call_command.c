/*
 * `theseus call TOOL [JSON | -]`: one call in a fresh server. The server is the real one; its client is this process,
 * at the other end of a socket pair. Other commands whose work is a plugin's do it by such a call, too. With --running
 * the server is one that runs (call_running.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "rpc/jsontext.h"
#include "server/call_words.h"
#include "server/commands.h"
#include "server/server.h"

enum { TURN_MS = 1000, CHUNK = 65536, INPUT_MAX = 1 << 30 };

static int say_failure(const struct theseus_error *err) {
    (void)fprintf(stderr, "theseus: %s\n", err->message);
    return EXIT_PROTOCOL_ERROR;
}

/* Whoever takes it is this very process: what the socket does not hold waits until the server has had its turn. */
static int write_request(struct server *server, int fd, const char *tool, json_t *arguments,
                         struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf line = {0};

    loop_enter();
    if (call_words_write(tool, arguments, &line, err) < 0)
        return -1;
    for (size_t at = 0; at < line.len;) {
        ssize_t n = send(fd, line.data + line.start + at, line.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0)
            at += (size_t)n;
        else if (errno != EAGAIN || server_is_over(server))
            return fail_errno(err, "the request of %zu bytes cannot be given to the server", line.len);
        else
            (void)server_turn(server, TURN_MS);
    }
    return 0;
}

/* The line with the answer; notifications come before it. An error has no id where the request was too long. */
static bool take_answer(struct buf *input, json_t **ret_answer) {
    for (;;) {
        struct span bytes = buf_span(input);
        const char *end = bytes.len ? memchr(bytes.data, '\n', bytes.len) : NULL;
        if (!end)
            return false;
        size_t len = (size_t)(end - bytes.data);
        json_t *message = jsontext_read((struct span){bytes.data, len}, NULL);
        buf_consume(input, len + 1, CHUNK);
        if (json_object_get(message, "id") || json_object_get(message, "error")) {
            *ret_answer = message;
            return true;
        }
        json_decref(message);
    }
}

static int await_answer(struct server *server, int fd, json_t **ret_answer, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf input = {0};

    loop_enter();
    while (!take_answer(&input, ret_answer)) {
        char *room = buf_reserve(&input, CHUNK);
        if (!room)
            return fail(err, ERR_MEMORY, "no memory for the answer");
        ssize_t n = recv(fd, room, CHUNK, MSG_DONTWAIT);
        if (n > 0)
            buf_added(&input, (size_t)n);
        else if (server_is_over(server))
            return fail(err, ERR_INTERNAL, "the server ended without an answer");
        else
            (void)server_turn(server, TURN_MS);
    }
    return 0;
}

static int call(struct server *server, int fd, const char *tool, json_t *arguments, struct theseus_error *err) {
    json_auto_t *answer = NULL;

    loop_enter();
    if (write_request(server, fd, tool, arguments, err) < 0 || await_answer(server, fd, &answer, err) < 0)
        return -1;
    return call_words_print(answer);
}

int command_call_tool(const struct config_source *source, const char *program, const char *tool, json_t *arguments) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct theseus_error err = {0};
    struct config *config = NULL;
    struct server *server = NULL;
    int pair[2], large = 16 << 20;

    loop_enter();
    if (config_load(&config, source, NULL, NULL, &err) < 0)
        return say_failure(&err);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        (void)config_free(config);
        (void)fail_errno(&err, "cannot make a socket pair");
        return say_failure(&err);
    }
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
    struct server_args server_args = {
        .source = *source, .in = pair[1], .out = pair[1], .transport = "stdio", .program = program};
    int status = server_new(&server, &server_args, config, ledger, &err);
    if (status < 0)
        (void)config_free(config);
    else
        status = call(server, pair[0], tool, arguments, &err);
    if (server)
        server_settle(server);
    (void)close(pair[0]);
    (void)close(pair[1]);
    if (status < 0)
        status = say_failure(&err);
    (void)fflush(stdout);
    if (server && server_is_stuck(server))
        server_abandon(server, status);
    (void)server_free(server);
    return status;
}

/* A number with something behind it is no tool. */
static int take_pid(char *const **words, int *count, long *ret_pid, struct theseus_error *err) {
    char *end;
    long pid = strtol((*words)[0], &end, 10);

    if (*count < 2 || (*end && *count < 3))
        return 0;
    if (*end || pid <= 0)
        return fail(err, ERR_INVALID, "'%s' is no process id", (*words)[0]);
    *ret_pid = pid;
    (*words)++;
    (*count)--;
    return 0;
}

/* "-": what comes on standard input, which may be longer than a word of a command line, and is seen by nobody in /proc.
 */
static json_t *arguments_new(const char *word, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf text = {0};

    if (strcmp(word, "-") != 0)
        return jsontext_read(span_of(word), err);
    return fs_read_fd(STDIN_FILENO, "standard input", INPUT_MAX, &text, err) < 0 ? NULL
                                                                                 : jsontext_read(buf_span(&text), err);
}

int command_call(const struct args *args, const struct config_source *source, const char *program) {
    char *const *words = args->rest;
    struct theseus_error err = {0};
    int count = args->rest_count;
    long pid = 0;

    if (args->running && take_pid(&words, &count, &pid, &err) < 0)
        return say_failure(&err);
    json_auto_t *arguments = count > 1 ? arguments_new(words[1], &err) : json_object();
    if (!arguments)
        return say_failure(&err);
    return args->running ? command_call_running(source, pid, words[0], arguments)
                         : command_call_tool(source, program, words[0], arguments);
}
