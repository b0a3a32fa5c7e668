#include "mixed.h"

#include <stdio.h>
#include <stdlib.h>

#include "samples.h"

enum { FIRST_CAPACITY = 1 << 16, GAPS = 1 << 16, REQUEST_BYTES = 600 };

struct asked {
    int64_t sent_at, answered_at; /* 0: not yet */
    enum mixed_kind kind;
};

struct stream {
    int64_t step, due; /* step 0: nothing is sent */
};

struct mixed {
    struct stream streams[MIXED_RESTART];
    struct asked *asked; /* owned; by id, from 1 */
    unsigned capacity;
    struct mixed_stats stats;
    json_t *report; /* owned */
    int version;
    int64_t last_ping, longest_gap, longest_call;
    struct samples gaps; /* the first GAPS of them */
};

static const char *const versions[] = {"one", "two"};

static const char *const methods[MIXED_KINDS] = {
    [MIXED_ECHO] = "tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"message\":\"m%u\"}}",
    [MIXED_VERSION] = "tools/call\",\"params\":{\"name\":\"version\",\"arguments\":{\"ms\":0}}",
    [MIXED_SLOW] = "tools/call\",\"params\":{\"name\":\"version\",\"arguments\":{\"ms\":40}}",
    [MIXED_BATCH] = "tools/call\",\"params\":{\"name\":\"batch\",\"arguments\":{\"calls\":["
                    "{\"tool\":\"echo\",\"arguments\":{\"message\":\"m%u\"}},"
                    "{\"tool\":\"version\",\"arguments\":{\"ms\":10}},"
                    "{\"tool\":\"version\",\"arguments\":{\"ms\":0}}]}}",
    [MIXED_PING] = "ping\"",
    [MIXED_RESTART] = "tools/call\",\"params\":{\"name\":\"orchestrator_restart_server\",\"arguments\":{}}",
};

struct mixed *mixed_new(void) {
    struct mixed *mixed = xcalloc(1, sizeof(*mixed));

    mixed->capacity = FIRST_CAPACITY;
    mixed->asked = xcalloc(mixed->capacity, sizeof(struct asked));
    mixed->gaps.ns = xcalloc(GAPS, sizeof(int64_t));
    mixed->version = -1;
    return mixed;
}

struct mixed *mixed_free(struct mixed *mixed) {
    if (!mixed)
        return NULL;
    json_decref(mixed->report);
    samples_fini_cleanup(&mixed->gaps);
    free(mixed->asked);
    free(mixed);
    return NULL;
}

void mixed_set_rates(struct mixed *mixed, const unsigned per_second[static MIXED_RESTART], int64_t now) {
    for (int kind = 0; kind < MIXED_RESTART; kind++)
        mixed->streams[kind] = (struct stream){per_second[kind] ? 1000000000 / per_second[kind] : 0, now};
}

static int append(struct mixed *mixed, enum mixed_kind kind, struct buf *out, int64_t now, struct theseus_error *err) {
    unsigned id = ++mixed->stats.sent;
    char text[REQUEST_BYTES];

    if (id == mixed->capacity) {
        mixed->capacity *= 2;
        mixed->asked = xreallocarray(mixed->asked, mixed->capacity, sizeof(struct asked));
    }
    mixed->asked[id] = (struct asked){.sent_at = now, .kind = kind};
    int head = snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"", id);
    int tail = snprintf(text + head, sizeof(text) - (size_t)head, methods[kind], id);
    if (buf_append(out, (struct span){text, (size_t)(head + tail)}, err) < 0)
        return -1;
    return buf_append(out, span_of("}\n"), err);
}

int mixed_send(struct mixed *mixed, struct buf *out, int64_t now, int64_t *ret_next, struct theseus_error *err) {
    *ret_next = INT64_MAX;
    for (int kind = 0; kind < MIXED_RESTART; kind++) {
        struct stream *stream = &mixed->streams[kind];
        for (; stream->step && stream->due <= now; stream->due += stream->step)
            if (append(mixed, (enum mixed_kind)kind, out, now, err) < 0)
                return -1;
        if (stream->step && stream->due < *ret_next)
            *ret_next = stream->due;
    }
    return 0;
}

int mixed_restart(struct mixed *mixed, struct buf *out, int64_t now, struct theseus_error *err) {
    return append(mixed, MIXED_RESTART, out, now, err);
}

/* ---- judging ---- */

static void note_fault(struct mixed *mixed, unsigned *count, const char *what, struct span line) {
    ++*count;
    if (!mixed->stats.first_fault[0])
        (void)snprintf(mixed->stats.first_fault, sizeof(mixed->stats.first_fault), "%s: %.*s", what,
                       line.len < 240 ? (int)line.len : 240, line.data);
}

static const char *text_of(const json_t *result) {
    const json_t *item = json_array_get(json_object_get(result, "content"), 0);
    const char *text = json_string_value(json_object_get(item, "text"));

    return text ? text : "";
}

static int version_of(const char *text) {
    for (int i = 0; i < (int)ARRAY_SIZE(versions); i++)
        if (strcmp(text, versions[i]) == 0)
            return i;
    return -1;
}

/* Three steps, each of them done. */
static bool is_right_batch(const json_t *result) {
    const json_t *results = json_object_get(json_object_get(result, "structuredContent"), "results");

    for (size_t i = 0; i < 3; i++) {
        const char *status = json_string_value(json_object_get(json_array_get(results, i), "status"));
        if (!status || strcmp(status, "ok") != 0)
            return false;
    }
    return json_array_size(results) == 3;
}

static bool is_right(struct mixed *mixed, unsigned id, enum mixed_kind kind, json_t *result) {
    char wanted[16];

    switch (kind) {
    case MIXED_ECHO:
        (void)snprintf(wanted, sizeof(wanted), "m%u", id);
        return strcmp(text_of(result), wanted) == 0;
    case MIXED_VERSION:
        mixed->version = version_of(text_of(result));
        return mixed->version >= 0;
    case MIXED_SLOW:
        return version_of(text_of(result)) >= 0;
    case MIXED_BATCH:
        return is_right_batch(result);
    case MIXED_PING:
        return json_is_object(result) && json_object_size(result) == 0;
    default:
        json_decref(mixed->report);
        mixed->report = json_incref(json_object_get(result, "structuredContent"));
        return mixed->report != NULL;
    }
}

static bool is_explained(const char *text) {
    return strstr(text, "restart") && (strstr(text, "may have executed") || strstr(text, "never begun"));
}

static void on_ping(struct mixed *mixed, int64_t now) {
    int64_t gap = mixed->last_ping ? now - mixed->last_ping : 0;

    if (gap > mixed->longest_gap)
        mixed->longest_gap = gap;
    if (gap > 0 && mixed->gaps.count < GAPS)
        mixed->gaps.ns[mixed->gaps.count++] = gap;
    mixed->last_ping = now;
}

static void note_time(struct mixed *mixed, struct asked *asked, int64_t now) {
    asked->answered_at = now;
    mixed->stats.answered++;
    if (asked->kind == MIXED_PING)
        on_ping(mixed, now);
    else if (asked->kind != MIXED_RESTART && now - asked->sent_at > mixed->longest_call)
        mixed->longest_call = now - asked->sent_at;
}

static void judge(struct mixed *mixed, unsigned id, const json_t *message, struct span line) {
    enum mixed_kind kind = mixed->asked[id].kind;
    json_t *result = json_object_get(message, "result");
    const char *error = json_string_value(json_object_get(json_object_get(message, "error"), "message"));

    if (json_is_true(json_object_get(result, "isError")) && kind != MIXED_RESTART)
        error = text_of(result);
    if (error && is_explained(error))
        mixed->stats.interrupted++;
    else if (error)
        note_fault(mixed, &mixed->stats.unexplained, "an error", line);
    else if (!is_right(mixed, id, kind, result))
        note_fault(mixed, &mixed->stats.wrong, "a wrong answer", line);
}

void mixed_receive(struct mixed *mixed, struct span line, int64_t now) {
    json_auto_t *message = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
    json_int_t id = json_integer_value(json_object_get(message, "id"));

    if (json_object_get(message, "method"))
        return; /* tools/list_changed */
    if (id < 1 || id > mixed->stats.sent) {
        note_fault(mixed, &mixed->stats.wrong, "an answer to nothing", line);
    } else if (mixed->asked[id].answered_at) {
        note_fault(mixed, &mixed->stats.doubled, "answered twice", line);
    } else {
        note_time(mixed, &mixed->asked[id], now);
        judge(mixed, (unsigned)id, message, line);
    }
}

/* ---- what came of it ---- */

json_t *mixed_take_report(struct mixed *mixed) {
    return TAKE_PTR(mixed->report);
}

int mixed_version(const struct mixed *mixed) {
    return mixed->version;
}

struct mixed_stats mixed_stats(const struct mixed *mixed) {
    return mixed->stats;
}

void mixed_watch(struct mixed *mixed) {
    mixed->longest_gap = 0;
}

int64_t mixed_longest_gap(const struct mixed *mixed) {
    return mixed->longest_gap;
}

double mixed_usual_gap_us(const struct mixed *mixed) {
    struct samples copy = {.ns = xcalloc(mixed->gaps.count + 1, sizeof(int64_t)), .count = mixed->gaps.count};

    memcpy(copy.ns, mixed->gaps.ns, copy.count * sizeof(int64_t));
    samples_sort(&copy);
    double usual = samples_percentile_us(&copy, 50);
    samples_fini_cleanup(&copy);
    return usual;
}

int64_t mixed_longest_call(const struct mixed *mixed) {
    return mixed->longest_call;
}
