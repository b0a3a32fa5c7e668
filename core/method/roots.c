/* Roots: the one thing that we ask a legacy client for, to know which directory it works in. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "method/method.h"

#define ROOTS_ID "theseus-roots"

void method_ask_roots(struct method_env *env, struct conn *conn) {
    const struct session *session = conn_session(conn);
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    (void)env;
    if (!session->initialized || !json_is_object(json_object_get(session->capabilities, "roots")))
        return;
    if (message_write_request(ROOTS_ID, "roots/list", NULL, &line, &err) < 0)
        log_error("%s", err.message);
    else
        conn_say(conn, &line);
}

/* A file URI's absolute path, decoded (RFC 8089). Owned; NULL: it is none. */
static char *path_of_uri(const char *uri) {
    if (strncmp(uri, "file://", 7) != 0)
        return NULL;
    const char *from = strchr(uri + 7, '/'); /* behind the host, which is mostly empty */
    char *path = from ? xcalloc(strlen(from) + 1, 1) : NULL;
    for (char *to = path; to && *from; to++) {
        unsigned byte;
        if (*from == '%' && isxdigit((unsigned char)from[1]) && sscanf(from + 1, "%2x", &byte) == 1 && byte) {
            *to = (char)byte;
            from += 3;
        } else {
            *to = *from++;
        }
    }
    return path;
}

void method_take_roots(struct conn *conn, const struct message *message) {
    const char *id = json_string_value(message->id);
    const json_t *roots = json_object_get(json_object_get(message->root, "result"), "roots");
    const char *uri = json_string_value(json_object_get(json_array_get(roots, 0), "uri"));

    if (!id || strcmp(id, ROOTS_ID) != 0) {
        log_info("an answer to nothing that was asked is left out");
        return;
    }
    struct session *session = conn_session(conn);
    free(session->directory);
    session->directory = uri ? path_of_uri(uri) : NULL;
    conn_session_changed(conn);
}
