#include "rpc/message.h"

#include "base/limits.h"
#include "rpc/codes.h"
#include "rpc/glimpse.h"
#include "rpc/jsontext.h"

void message_fini(struct message *message) {
    json_decref(message->root);
    json_decref(message->glimpsed);
    *message = (struct message){0};
}

void message_fini_cleanup(struct message *message) {
    message_fini(message);
}

static bool id_is_valid(const json_t *id) {
    return json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= LIMIT_ID_BYTES);
}

static int check_id(struct message *message, json_t *id, struct theseus_error *err) {
    if (!id)
        return 0;
    if (json_is_string(id) && !id_is_valid(id))
        return fail(err, ERR_REQUEST, "the id is longer than %d bytes", LIMIT_ID_BYTES);
    if (!id_is_valid(id))
        return fail(err, ERR_REQUEST, "the id must be a string or an integer");
    message->id = id;
    return 0;
}

static int check_version(const json_t *root, struct theseus_error *err) {
    const json_t *version = json_object_get(root, "jsonrpc");

    if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0)
        return fail(err, ERR_REQUEST, "member 'jsonrpc' must be \"2.0\"");
    return 0;
}

static int read_response(struct message *message, struct theseus_error *err) {
    const json_t *result = json_object_get(message->root, "result");
    const json_t *error = json_object_get(message->root, "error");

    message->kind = MESSAGE_RESPONSE;
    if (!result && !error)
        return fail(err, ERR_REQUEST, "member 'method' must be a string");
    return 0;
}

static int read_method(struct message *message, const json_t *method, struct theseus_error *err) {
    json_t *params = json_object_get(message->root, "params");

    message->kind = message->id ? MESSAGE_REQUEST : MESSAGE_NOTIFICATION;
    if (!json_is_string(method) || strlen(json_string_value(method)) != json_string_length(method))
        return fail(err, ERR_REQUEST, "member 'method' must be a string");
    if (params && !json_is_object(params))
        return fail(err, ERR_REQUEST, "member 'params' must be an object");
    message->method = json_string_value(method);
    message->params = params;
    return 0;
}

int message_read_json(json_t *root, struct message *ret_message, struct theseus_error *err) {
    *ret_message = (struct message){.root = root};
    if (json_is_array(root)) {
        ret_message->kind = MESSAGE_ARRAY;
        return 0;
    }
    if (!json_is_object(root))
        return fail(err, ERR_REQUEST, "a message must be a JSON object");
    const json_t *method = json_object_get(root, "method");
    if (check_id(ret_message, json_object_get(root, "id"), err) < 0 || check_version(root, err) < 0)
        return -1;
    return method ? read_method(ret_message, method, err) : read_response(ret_message, err);
}

static json_t *glimpsed_id_new(struct span line) {
    CLEANUP(glimpse_free) struct glimpse *glimpse = glimpse_new();

    if (!glimpse)
        return NULL;
    glimpse_feed(glimpse, line);
    return glimpse_id_new(glimpse);
}

int message_read(struct span line, struct message *ret_message, struct theseus_error *err) {
    json_t *root = jsontext_read(line, err);

    *ret_message = (struct message){0};
    if (root)
        return message_read_json(root, ret_message, err);
    ret_message->id = ret_message->glimpsed = glimpsed_id_new(line);
    return -1;
}

int message_id_key(const json_t *id, struct buf *out, struct theseus_error *err) {
    if (json_is_integer(id))
        return buf_append_integer(out, json_integer_value(id), err);
    return jsontext_write_string((struct span){json_string_value(id), json_string_length(id)}, out, err);
}

static int put(struct buf *out, const char *text, struct theseus_error *err) {
    return buf_append(out, span_of(text), err);
}

static int put_head(const json_t *id, struct buf *out, struct theseus_error *err) {
    if (put(out, "{\"jsonrpc\":\"2.0\"", err) < 0)
        return -1;
    return id && (put(out, ",\"id\":", err) < 0 || message_id_key(id, out, err) < 0) ? -1 : 0;
}

int message_write_result(const json_t *id, const json_t *result, struct buf *out, struct theseus_error *err) {
    if (put_head(id, out, err) < 0 || put(out, ",\"result\":", err) < 0 || jsontext_write(result, out, err) < 0)
        return -1;
    return put(out, "}\n", err);
}

static int put_error(const json_t *id, enum errc code, const char *text, struct buf *out, struct theseus_error *err) {
    if (put_head(id, out, err) < 0 || buf_printf(out, err, ",\"error\":{\"code\":%d,\"message\":", code_of(code)) < 0)
        return -1;
    return jsontext_write_string(span_of(text), out, err);
}

int message_write_error(const json_t *id, const struct theseus_error *error, const json_t *data, struct buf *out,
                        struct theseus_error *err) {
    if (put_error(id, (enum errc)error->code, error->message, out, err) < 0)
        return -1;
    if (data && (put(out, ",\"data\":", err) < 0 || jsontext_write(data, out, err) < 0))
        return -1;
    return put(out, "}}\n", err);
}

int message_write_error_text(const json_t *id, enum errc code, const char *text, struct buf *out,
                             struct theseus_error *err) {
    return put_error(id, code, text, out, err) < 0 ? -1 : put(out, "}}\n", err);
}

/* `,"method":"…","params":{…}}` */
static int put_method(const char *method, const json_t *params, struct buf *out, struct theseus_error *err) {
    if (put(out, ",\"method\":", err) < 0 || jsontext_write_string(span_of(method), out, err) < 0)
        return -1;
    if (params && (put(out, ",\"params\":", err) < 0 || jsontext_write(params, out, err) < 0))
        return -1;
    return put(out, "}\n", err);
}

int message_write_notification(const char *method, const json_t *params, struct buf *out, struct theseus_error *err) {
    return put_head(NULL, out, err) < 0 ? -1 : put_method(method, params, out, err);
}

int message_write_request(const char *id, const char *method, const json_t *params, struct buf *out,
                          struct theseus_error *err) {
    if (put_head(NULL, out, err) < 0 || put(out, ",\"id\":", err) < 0 ||
        jsontext_write_string(span_of(id), out, err) < 0)
        return -1;
    return put_method(method, params, out, err);
}
