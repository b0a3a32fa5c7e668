/*
 * `theseus call TOOL [JSON]`: one call in a fresh server. The server is the real one; its client is this process, at
 * the other end of a socket pair. Other commands whose work is a plugin's do it by such a call, too.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/jsontext.h"
#include "rpc/message.h"
#include "rpc/revision.h"
#include "server/commands.h"
#include "server/server.h"

enum { EXIT_TOOL_ERROR = 1, EXIT_PROTOCOL_ERROR = 2, TURN_MS = 1000, CHUNK = 65536 };

static int say_failure(const struct theseus_error *err) {
    (void)fprintf(stderr, "theseus: %s\n", err->message);
    return EXIT_PROTOCOL_ERROR;
}

static int write_request(int fd, const char *tool, json_t *arguments, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf line = {0};
    json_auto_t *params = json_pack("{s:s, s:O, s:{s:s, s:{}, s:{s:s, s:s}}}", "name", tool, "arguments", arguments,
                                    "_meta", META_VERSION, revision_modern()->name, META_CAPABILITIES, META_CLIENT,
                                    "name", "theseus call", "version", THESEUS_VERSION);

    if (!params)
        return fail(err, ERR_INVALID, "the tool's name is no UTF-8");
    if (message_write_request("call", "tools/call", params, &line, err) < 0)
        return -1;
    for (size_t at = 0; at < line.len;) { /* more than the socket holds would wait for a server that does not run yet */
        ssize_t n = write(fd, line.data + line.start + at, line.len - at);
        if (n < 0)
            return fail_errno(err, "the request of %zu bytes cannot be given to the server", line.len);
        at += (size_t)n;
    }
    return 0;
}

/* The line with the answer; notifications come before it. Owned by `input`. */
static bool take_answer(struct buf *input, json_t **ret_answer) {
    for (;;) {
        struct span bytes = buf_span(input);
        const char *end = bytes.len ? memchr(bytes.data, '\n', bytes.len) : NULL;
        if (!end)
            return false;
        size_t len = (size_t)(end - bytes.data);
        json_t *message = jsontext_read((struct span){bytes.data, len}, NULL);
        buf_consume(input, len + 1, CHUNK);
        if (json_object_get(message, "id")) {
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

static void print_text(const json_t *item) {
    const json_t *text = json_object_get(item, "text");

    if (json_is_string(text)) {
        (void)fwrite(json_string_value(text), 1, json_string_length(text), stdout);
        (void)fputc('\n', stdout);
    } else {
        (void)json_dumpf(item, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
    }
}

/* The texts of the result, as they are; anything else as JSON. */
static int print_answer(const json_t *answer) {
    const json_t *error = json_object_get(answer, "error"), *result = json_object_get(answer, "result");
    const char *message = json_string_value(json_object_get(error, "message"));
    json_t *item;
    size_t i;

    if (error) {
        (void)fprintf(stderr, "theseus: %s\n", message ? message : "an error without a message");
        return EXIT_PROTOCOL_ERROR;
    }
    json_array_foreach (json_object_get(result, "content"), i, item)
        print_text(item);
    return json_is_true(json_object_get(result, "isError")) ? EXIT_TOOL_ERROR : 0;
}

static int call(struct server *server, int fd, const char *tool, json_t *arguments, struct theseus_error *err) {
    json_auto_t *answer = NULL;

    loop_enter();
    if (write_request(fd, tool, arguments, err) < 0 || await_answer(server, fd, &answer, err) < 0)
        return -1;
    return print_answer(answer);
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

int command_call(const struct args *args, const struct config_source *source, const char *program) {
    struct theseus_error err = {0};
    json_auto_t *arguments = args->rest_count > 1 ? jsontext_read(span_of(args->rest[1]), &err) : json_object();

    return arguments ? command_call_tool(source, program, args->rest[0], arguments) : say_failure(&err);
}
