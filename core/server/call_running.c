/*
 * `theseus call --running [PID] TOOL [JSON | -]`: the call is one of a client that connects to the socket of a server
 * that runs. Which one is found by the signs; where there is none that has a socket, by the configuration.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connect/enquiry.h"
#include "server/call_words.h"
#include "server/commands.h"
#include "server/onlooker.h"
#include "server/signs.h"

static const char *socket_of(const json_t *sign) {
    return json_string_value(json_object_get(json_object_get(sign, "listener"), "path"));
}

/* Those that can be asked. */
static json_t *with_socket_new(const json_t *signs) {
    json_t *list = json_array(), *sign;
    size_t i;

    json_array_foreach (signs, i, sign)
        if (socket_of(sign))
            (void)json_array_append(list, sign);
    return list;
}

/* `pid` 0: whichever. */
static int fail_private(long pid, struct theseus_error *err) {
    CLEANUP(free) char *which = pid ? xasprintf("server %ld has no socket", pid) : xstrdup("no server has a socket");

    return fail(err, ERR_MISSING,
                "%s to be asked by: what a host has started for itself is asked by nobody else; theseus connect, or "
                "theseus serve --listen, starts one that has",
                which);
}

/* Borrowed from `signs`, or from the configuration. */
static const char *choose_socket(const struct config *config, const json_t *signs, long pid,
                                 struct theseus_error *err) {
    json_auto_t *listening = with_socket_new(signs);

    if (pid == 0 && json_array_size(listening) == 0) { /* it may be another user's, or too young for a sign */
        if (access(config->listen.unix_path, F_OK) == 0)
            return config->listen.unix_path;
        (void)fail_private(0, err);
        return NULL;
    }
    const json_t *sign = signs_choose(pid ? signs : listening, pid, err);
    if (sign && !socket_of(sign))
        (void)fail_private(pid, err);
    return socket_of(sign); /* the list held references only */
}

static int ask(const struct config *config, long pid, struct span line, json_t **ret_answer,
               struct theseus_error *err) {
    json_auto_t *signs = signs_read(config->server.runtime_dir);
    CLEANUP(free) char *directory = getcwd(NULL, 0);
    const char *path = choose_socket(config, signs, pid, err);

    if (!path)
        return -1;
    if (!directory)
        return fail_errno(err, "the current directory cannot be told");
    return enquiry_ask(path, directory, line, ret_answer, err);
}

int command_call_running(const struct config_source *source, long pid, const char *tool, json_t *arguments) {
    CLEANUP(config_free) struct config *config = NULL;
    CLEANUP(buf_fini) struct buf line = {0};
    json_auto_t *answer = NULL;
    struct theseus_error err = {0};

    if (onlooker_load(&config, source, &err) < 0 || call_words_write(tool, arguments, &line, &err) < 0 ||
        ask(config, pid, buf_span(&line), &answer, &err) < 0) {
        (void)fprintf(stderr, "theseus: %s\n", err.message);
        return EXIT_PROTOCOL_ERROR;
    }
    return call_words_print(answer);
}
