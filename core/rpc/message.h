/* One JSON-RPC message: what a line says, and the lines that we say. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/mem.h"

enum message_kind { MESSAGE_REQUEST, MESSAGE_NOTIFICATION, MESSAGE_RESPONSE, MESSAGE_ARRAY };

struct message {
    enum message_kind kind;
    json_t *root;       /* owned */
    json_t *id;         /* borrowed from root, or `glimpsed`; a string or an integer; NULL: none */
    const char *method; /* borrowed from root; NULL in a response and in an array */
    json_t *params;     /* borrowed from root; an object; NULL: none */
    json_t *glimpsed;   /* owned: the id of a line that could not be read */
};

/*
 * Reads a line. On failure `ret_message` holds the id if one could be made out (so that the error can name it), and
 * must be given back too. ERR_PARSE: not JSON; ERR_REQUEST: no message of JSON-RPC 2.0; ERR_LIMIT: too deep;
 * ERR_MEMORY.
 */
MUST_CHECK int message_read(struct span line, struct message *ret_message, struct theseus_error *err);
MUST_CHECK int message_read_json(json_t *root, struct message *ret_message, struct theseus_error *err); /* steals */
void message_fini(struct message *message);
void message_fini_cleanup(struct message *message);

/* The id as a key: 1 and "1" differ. Appends to `out`. */
MUST_CHECK int message_id_key(const json_t *id, struct buf *out, struct theseus_error *err);

/* The lines that we say, with their line end, appended to `out`. `id` NULL: the member is left out. */
MUST_CHECK int message_write_result(const json_t *id, const json_t *result, struct buf *out, struct theseus_error *err);
MUST_CHECK int message_write_error(const json_t *id, const struct theseus_error *error, const json_t *data,
                                   struct buf *out, struct theseus_error *err);
/* The same with a text of any length. */
MUST_CHECK int message_write_error_text(const json_t *id, enum errc code, const char *text, struct buf *out,
                                        struct theseus_error *err);
MUST_CHECK int message_write_notification(const char *method, const json_t *params, struct buf *out,
                                          struct theseus_error *err);
MUST_CHECK int message_write_request(const char *id, const char *method, const json_t *params, struct buf *out,
                                     struct theseus_error *err);
