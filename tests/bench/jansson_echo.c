/*
 * The yardstick: an echo server that does nothing but parse with jansson, answer, and dump with jansson. It reads and
 * writes in batches, as Theseus does, and checks nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

enum { READ_BYTES = 64 << 10 };

struct bytes {
    char *data;
    size_t len, capacity;
};

static void room_for(struct bytes *bytes, size_t more) {
    if (bytes->len + more <= bytes->capacity)
        return;
    while (bytes->len + more > bytes->capacity)
        bytes->capacity = bytes->capacity ? bytes->capacity * 2 : READ_BYTES;
    bytes->data = realloc(bytes->data, bytes->capacity);
    if (!bytes->data)
        abort();
}

static int append(const char *data, size_t len, void *arg) {
    struct bytes *bytes = arg;

    room_for(bytes, len);
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
    return 0;
}

static json_t *result_new(const char *method, json_t *params) {
    if (strcmp(method, "initialize") == 0)
        return json_pack("{s:s, s:{s:{}}, s:{s:s, s:s}}", "protocolVersion", "2025-11-25", "capabilities", "tools",
                         "serverInfo", "name", "jansson_echo", "version", "1");
    if (strcmp(method, "tools/list") == 0)
        return json_pack("{s:[{s:s, s:{s:s}}]}", "tools", "name", "echo", "inputSchema", "type", "object");
    json_t *message = json_object_get(json_object_get(params, "arguments"), "message");
    return json_pack("{s:[{s:s, s:O}]}", "content", "type", "text", "text", message);
}

static void take(const char *line, size_t len, struct bytes *out) {
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    const char *method = json_string_value(json_object_get(request, "method"));
    json_t *id = json_object_get(request, "id");

    if (method && id) {
        json_t *answer = json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result",
                                   result_new(method, json_object_get(request, "params")));
        (void)json_dump_callback(answer, append, out, JSON_COMPACT);
        (void)append("\n", 1, out);
        json_decref(answer);
    }
    json_decref(request);
}

static int flush(struct bytes *out) {
    for (size_t at = 0; at < out->len;) {
        ssize_t n = write(STDOUT_FILENO, out->data + at, out->len - at);
        if (n < 0)
            return -1;
        at += (size_t)n;
    }
    out->len = 0;
    return 0;
}

int main(void) {
    struct bytes in = {0}, out = {0};

    for (;;) {
        room_for(&in, READ_BYTES);
        ssize_t n = read(STDIN_FILENO, in.data + in.len, READ_BYTES);
        if (n <= 0)
            break;
        in.len += (size_t)n;
        char *at = in.data, *end;
        for (; (end = memchr(at, '\n', in.len - (size_t)(at - in.data))); at = end + 1)
            take(at, (size_t)(end - at), &out);
        in.len -= (size_t)(at - in.data);
        memmove(in.data, at, in.len);
        if (flush(&out) < 0)
            break;
    }
    free(in.data);
    free(out.data);
    return 0;
}
