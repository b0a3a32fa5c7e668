#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>

enum { TAG = 8, QUOTED = 100 };

/* The bytes of a right answer around its two holes, the id and the text, in whichever order they come. */
struct shape {
    char *line; /* owned; NULL: none was seen yet */
    struct span before, between, after;
    bool text_first;
    size_t text_len;
};

struct traffic {
    struct tool_call call;
    struct shape shapes[TRAFFIC_VARIANTS];
    char *text;        /* owned: TAG digits that the id decides, then filling */
    char *fixed_text;  /* owned; NULL: the first answer decides */
    char *head, *tail; /* owned: the request around id and text */
    int64_t *sent_at, *latency;
    size_t payload;
    unsigned count, sent, answered;
};

struct traffic *traffic_new(struct tool_call call, unsigned count, size_t payload) {
    struct traffic *traffic = xcalloc(1, sizeof(*traffic));

    traffic->call = call;
    traffic->count = count;
    traffic->payload = payload < TAG ? TAG : payload;
    traffic->text = xcalloc(traffic->payload + 1, 1);
    for (size_t i = 0; i < traffic->payload; i++)
        traffic->text[i] = (char)('a' + (i % 26));
    traffic->head = xasprintf(",\"method\":\"tools/call\",\"params\":{\"name\":\"%s\",\"arguments\":{\"%s\":\"",
                              call.tool, call.argument);
    traffic->tail = xstrdup("\"}}}\n");
    traffic->sent_at = xcalloc(count + 1, sizeof(int64_t));
    traffic->latency = xcalloc(count + 1, sizeof(int64_t));
    return traffic;
}

struct traffic *traffic_free(struct traffic *traffic) {
    if (!traffic)
        return NULL;
    for (int i = 0; i < TRAFFIC_VARIANTS; i++)
        free(traffic->shapes[i].line);
    free(traffic->text);
    free(traffic->fixed_text);
    free(traffic->head);
    free(traffic->tail);
    free(traffic->sent_at);
    free(traffic->latency);
    free(traffic);
    return NULL;
}

unsigned traffic_sent(const struct traffic *traffic) {
    return traffic->sent;
}

unsigned traffic_answered(const struct traffic *traffic) {
    return traffic->answered;
}

int64_t traffic_sent_at(const struct traffic *traffic, unsigned id) {
    return traffic->sent_at[id];
}

int64_t traffic_latency(const struct traffic *traffic, unsigned id) {
    return traffic->latency[id] ? traffic->latency[id] : -1;
}

/* The argument of request `id`. Neighbours differ in every digit, so that a mix-up is seen. */
static const char *text_of(struct traffic *traffic, unsigned id) {
    static const char digits[] = "0123456789abcdef";
    uint32_t tag = id * 2654435761U;

    for (int i = 0; i < TAG; i++)
        traffic->text[i] = digits[(tag >> (4 * i)) & 15];
    return traffic->text;
}

static int append_number(struct buf *out, unsigned number, struct theseus_error *err) {
    char digits[12];
    char *at = digits + sizeof(digits);

    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    return buf_append(out, (struct span){at, (size_t)(digits + sizeof(digits) - at)}, err);
}

int traffic_send(struct traffic *traffic, struct buf *out, int64_t now, struct theseus_error *err) {
    unsigned id = traffic->sent + 1;

    if (id > traffic->count)
        return fail(err, ERR_LIMIT, "all %u requests were sent", traffic->count);
    if (buf_append(out, span_of("{\"jsonrpc\":\"2.0\",\"id\":"), err) < 0 || append_number(out, id, err) < 0 ||
        buf_append(out, span_of(traffic->head), err) < 0 ||
        buf_append(out, (struct span){text_of(traffic, id), traffic->payload}, err) < 0 ||
        buf_append(out, span_of(traffic->tail), err) < 0)
        return -1;
    traffic->sent_at[id] = now;
    traffic->sent = id;
    return 0;
}

/* Which prefix has `text` before the argument of request `id`? -1: neither. */
static int variant_of(struct traffic *traffic, unsigned id, struct span text) {
    if (traffic->call.fixed) {
        if (!traffic->fixed_text)
            traffic->fixed_text = xstrndup(text.data, text.len);
        return span_equals(text, traffic->fixed_text) ? 0 : -1;
    }
    for (int i = 0; i < TRAFFIC_VARIANTS && traffic->call.prefixes[i]; i++) {
        size_t len = strlen(traffic->call.prefixes[i]);
        if (text.len == len + traffic->payload && memcmp(text.data, traffic->call.prefixes[i], len) == 0 &&
            memcmp(text.data + len, text_of(traffic, id), traffic->payload) == 0)
            return i;
    }
    return -1;
}

/* Reads the line as JSON and says which request it answers rightly with which prefix. */
static int judge(struct traffic *traffic, struct span line, unsigned *ret_id, int *ret_variant,
                 struct theseus_error *err) {
    json_error_t at;
    json_auto_t *message = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, &at);
    json_int_t id;
    const char *version, *type, *text;
    size_t text_len;
    json_t *content;
    int is_error = 0, quoted = line.len < QUOTED ? (int)line.len : QUOTED;

    if (json_unpack_ex(message, &at, 0, "{s:s, s:I, s:{s:o, s?b}}", "jsonrpc", &version, "id", &id, "result", "content",
                       &content, "isError", &is_error) < 0 ||
        json_unpack_ex(content, &at, JSON_STRICT, "[{s:s, s:s%}]", "type", &type, "text", &text, &text_len) < 0)
        return fail(err, ERR_INVALID, "not the answer of the tool (%s): %.*s", at.text, quoted, line.data);
    if (is_error || strcmp(version, "2.0") != 0 || strcmp(type, "text") != 0 || id < 1 || id > traffic->sent)
        return fail(err, ERR_INVALID, "an answer that is wrong: %.*s", quoted, line.data);
    *ret_variant = variant_of(traffic, (unsigned)id, (struct span){text, text_len});
    if (*ret_variant < 0)
        return fail(err, ERR_INVALID, "request %u was answered with another text: %.100s", (unsigned)id, text);
    *ret_id = (unsigned)id;
    return 0;
}

static struct span part(const char *from, const char *to) {
    return (struct span){from, (size_t)(to - from)};
}

/* Remembers how a right answer looks. One whose holes are not found this way is parsed each time. */
static void learn(struct traffic *traffic, struct shape *shape, struct span line, unsigned id, size_t prefix_len) {
    const char *wanted = traffic->call.fixed ? traffic->fixed_text : text_of(traffic, id);
    size_t wanted_len = strlen(wanted);
    CLEANUP(free) char *id_text = xasprintf("\"id\":%u", id);
    CLEANUP(free) char *copy = xstrndup(line.data, line.len);
    const char *text = strstr(copy, wanted), *number = strstr(copy, id_text);

    if (!text || !number)
        return;
    text -= prefix_len;
    number += strlen("\"id\":");
    const char *text_end = text + prefix_len + wanted_len;
    const char *number_end = number + strspn(number, "0123456789");
    free(shape->line);
    shape->line = TAKE_PTR(copy);
    shape->text_first = text < number;
    shape->text_len = prefix_len + wanted_len;
    shape->before = part(shape->line, shape->text_first ? text : number);
    shape->between = shape->text_first ? part(text_end, number) : part(number_end, text);
    const char *rest = shape->text_first ? number_end : text_end;
    shape->after = part(rest, shape->line + line.len);
}

static bool take(struct span *line, struct span expected) {
    if (line->len < expected.len || memcmp(line->data, expected.data, expected.len) != 0)
        return false;
    line->data += expected.len;
    line->len -= expected.len;
    return true;
}

static unsigned take_number(struct span *line) {
    unsigned number = 0;

    for (; line->len && *line->data >= '0' && *line->data <= '9'; line->data++, line->len--)
        number = number * 10 + (unsigned)(*line->data - '0');
    return number;
}

/* Has the line this shape, with the id of a request and that request's text? */
static bool fits(struct traffic *traffic, const struct shape *shape, int variant, struct span line, unsigned *ret_id) {
    struct span text = {0};
    unsigned id = 0;

    if (!shape->line || !take(&line, shape->before))
        return false;
    for (int hole = 0; hole < 2; hole++) {
        if ((hole == 0) == shape->text_first) {
            if (line.len < shape->text_len)
                return false;
            text = (struct span){line.data, shape->text_len};
            line.data += text.len;
            line.len -= text.len;
        } else {
            id = take_number(&line);
        }
        if (hole == 0 && !take(&line, shape->between))
            return false;
    }
    if (!span_same(line, shape->after) || id < 1 || id > traffic->sent || variant_of(traffic, id, text) != variant)
        return false;
    *ret_id = id;
    return true;
}

static int recognise(struct traffic *traffic, struct span line, unsigned *ret_id, int *ret_variant,
                     struct theseus_error *err) {
    for (int i = 0; i < TRAFFIC_VARIANTS; i++)
        if (fits(traffic, &traffic->shapes[i], i, line, ret_id)) {
            *ret_variant = i;
            return 0;
        }
    if (judge(traffic, line, ret_id, ret_variant, err) < 0)
        return -1;
    const char *prefix = traffic->call.fixed ? "" : traffic->call.prefixes[*ret_variant];
    learn(traffic, &traffic->shapes[*ret_variant], line, *ret_id, strlen(prefix));
    return 0;
}

int traffic_receive(struct traffic *traffic, struct span line, int64_t now, unsigned *ret_id, int *ret_variant,
                    struct theseus_error *err) {
    if (recognise(traffic, line, ret_id, ret_variant, err) < 0)
        return -1;
    if (traffic->latency[*ret_id])
        return fail(err, ERR_INVALID, "request %u was answered twice", *ret_id);
    int64_t latency = now - traffic->sent_at[*ret_id];
    traffic->latency[*ret_id] = latency > 0 ? latency : 1;
    traffic->answered++;
    return 0;
}
