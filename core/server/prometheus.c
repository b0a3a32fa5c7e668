#include "server/prometheus.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct family;

/* Where samples go: no error of its own, a text for which there was no memory is none. */
struct page {
    struct buf text;
    const struct family *family;
    json_int_t pid; /* 0: not said */
    bool failed;
};

struct family {
    const char *name, *type, *help;
    void (*add)(struct page *page, const json_t *description);
};

/* ---- writing ---- */

static void append(struct page *page, const char *text) {
    if (buf_append(&page->text, span_of(text), NULL) < 0)
        page->failed = true;
}

static void append_escaped(struct page *page, const char *value) {
    for (; *value; value++) {
        char one[3] = {*value, '\0', '\0'};
        if (*value == '\n')
            memcpy(one, "\\n", 3);
        else if (*value == '"' || *value == '\\')
            memcpy(one, (const char[]){'\\', *value, '\0'}, 3);
        append(page, one);
    }
}

static void append_label(struct page *page, const char *name, const char *value, bool *any) {
    append(page, *any ? "," : "{");
    append(page, name);
    append(page, "=\"");
    append_escaped(page, value);
    append(page, "\"");
    *any = true;
}

/* `labels`: names and values, NULL-terminated; one whose value is NULL is left out. `end` is that of the name. */
static void sample_of(struct page *page, const char *end, const char *const labels[][2], double value) {
    bool any = false;
    char pid[24];

    append(page, page->family->name);
    append(page, end);
    if (page->pid) {
        (void)snprintf(pid, sizeof(pid), "%lld", (long long)page->pid);
        append_label(page, "pid", pid, &any);
    }
    for (size_t i = 0; labels && labels[i][0]; i++)
        if (labels[i][1])
            append_label(page, labels[i][0], labels[i][1], &any);
    if (any)
        append(page, "}");
    if (buf_printf(&page->text, NULL, " %.15g\n", value) < 0)
        page->failed = true;
}

static void sample(struct page *page, const char *const labels[][2], double value) {
    sample_of(page, "", labels, value);
}

/* ---- what there is ---- */

static const char *text_of(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

static void add_info(struct page *page, const json_t *description) {
    const char *const labels[][2] = {{"version", text_of(description, "version")},
                                     {"boot_id", text_of(description, "boot_id")},
                                     {"host", text_of(json_object_get(description, "host"), "name")},
                                     {NULL, NULL}};

    sample(page, labels, 1);
}

static void add_healthy(struct page *page, const json_t *description) {
    sample(page, NULL, json_is_true(json_object_get(json_object_get(description, "health"), "healthy")));
}

static void add_issues(struct page *page, const json_t *description) {
    const json_t *issues = json_object_get(json_object_get(description, "health"), "issues");

    sample(page, NULL, (double)json_array_size(issues));
}

static void add_uptime(struct page *page, const json_t *description) {
    sample(page, NULL, json_number_value(json_object_get(json_object_get(description, "health"), "uptime_s")));
}

static void add_clients(struct page *page, const json_t *description) {
    sample(page, NULL, (double)json_array_size(json_object_get(description, "clients")));
}

/* By what they are; those that are not, too, so that none is taken for unknown. */
static void add_sessions(struct page *page, const json_t *description) {
    static const char *const states[] = {"active", "disconnected", "reconnecting", "restored", "failed"};
    const json_t *session;
    size_t i;

    for (size_t k = 0; k < ARRAY_SIZE(states); k++) {
        int count = 0;
        json_array_foreach (json_object_get(description, "clients"), i, session) {
            const char *state = text_of(session, "state");
            count += state && strcmp(state, states[k]) == 0;
        }
        sample(page, (const char *const[][2]){{"state", states[k]}, {NULL, NULL}}, count);
    }
}

static void add_in_flight(struct page *page, const json_t *description) {
    sample(page, NULL, json_number_value(json_object_get(json_object_get(description, "requests"), "in_flight")));
}

static void add_held(struct page *page, const json_t *description) {
    sample(page, NULL, json_number_value(json_object_get(json_object_get(description, "requests"), "held")));
}

/* One for each of `keys` that the object has, with the key as that label. */
static void add_members(struct page *page, const json_t *object, const char *label, const char *const keys[][2],
                        size_t count) {
    for (size_t k = 0; k < count; k++)
        if (json_is_number(json_object_get(object, keys[k][0])))
            sample(page, (const char *const[][2]){{label, keys[k][1]}, {NULL, NULL}},
                   json_number_value(json_object_get(object, keys[k][0])));
}

static void add_buffered(struct page *page, const json_t *description) {
    static const char *const keys[][2] = {{"held_bytes", "requests"}, {"unread_bytes", "answers"}};

    add_members(page, json_object_get(description, "requests"), "what", keys, ARRAY_SIZE(keys));
}

static void add_connections(struct page *page, const json_t *description) {
    static const char *const keys[][2] = {
        {"accepted", "accepted"}, {"refused", "refused"}, {"turned_away", "turned_away"}};

    add_members(page, json_object_get(description, "listener"), "result", keys, ARRAY_SIZE(keys));
}

static void add_resumptions(struct page *page, const json_t *description) {
    static const char *const keys[][2] = {
        {"successful", "successful"}, {"failed", "refused"}, {"unknown", "unknown"}, {"expired", "expired"}};

    add_members(page, json_object_get(description, "resumptions"), "result", keys, ARRAY_SIZE(keys));
}

static void add_last_blackout(struct page *page, const json_t *description) {
    const json_t *blackout = json_object_get(json_object_get(description, "restart"), "blackout_ms");

    if (json_is_number(blackout))
        sample(page, NULL, json_number_value(blackout) * 1e-3);
}

static void add_restarts(struct page *page, const json_t *description) {
    sample(page, NULL, json_number_value(json_object_get(description, "restarts")));
}

static bool is_alike(const json_t *a, const json_t *b) {
    static const char *const keys[] = {"name", "version", "state"};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
            return false;
    return true;
}

static int count_like(const json_t *plugins, size_t index) {
    int count = 0;

    for (size_t i = 0; i < json_array_size(plugins); i++)
        count += is_alike(json_array_get(plugins, i), json_array_get(plugins, index));
    return count;
}

/* Has one like it come before? A sample comes once. */
static bool is_counted(const json_t *plugins, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (is_alike(json_array_get(plugins, i), json_array_get(plugins, index)))
            return true;
    return false;
}

static void add_plugins(struct page *page, const json_t *description) {
    const json_t *plugin;
    size_t i;

    json_array_foreach (json_object_get(description, "plugins"), i, plugin) {
        const char *const labels[][2] = {{"plugin", text_of(plugin, "name")},
                                         {"version", text_of(plugin, "version")},
                                         {"state", text_of(plugin, "state")},
                                         {NULL, NULL}};
        if (!is_counted(json_object_get(description, "plugins"), i))
            sample(page, labels, count_like(json_object_get(description, "plugins"), i));
    }
}

/* What serves of a plugin: its generations share one count, since this image began. */
static bool serves(const json_t *plugin) {
    const char *state = text_of(plugin, "state");

    return state && (strcmp(state, "active") == 0 || strcmp(state, "reverted") == 0);
}

static void add_calls_of(struct page *page, const json_t *description, const char *const keys[], size_t count,
                         const char *label, double scale) {
    const json_t *plugin;
    size_t i;

    json_array_foreach (json_object_get(description, "plugins"), i, plugin) {
        for (size_t k = 0; serves(plugin) && k < count; k++) {
            const char *const labels[][2] = {
                {"plugin", text_of(plugin, "name")}, {label, label ? keys[k] : NULL}, {NULL, NULL}};
            sample(page, labels, json_number_value(json_object_get(json_object_get(plugin, "calls"), keys[k])) * scale);
        }
    }
}

static void add_calls(struct page *page, const json_t *description) {
    static const char *const keys[] = {"served", "failed"};

    add_calls_of(page, description, keys, ARRAY_SIZE(keys), "result", 1);
}

static void add_mean(struct page *page, const json_t *description) {
    static const char *const keys[] = {"mean_ms"};

    add_calls_of(page, description, keys, ARRAY_SIZE(keys), NULL, 1e-3);
}

static void add_p99(struct page *page, const json_t *description) {
    static const char *const keys[] = {"p99_ms"};

    add_calls_of(page, description, keys, ARRAY_SIZE(keys), NULL, 1e-3);
}

/* Buckets count all that took less, and so does each one behind them. */
static void add_durations(struct page *page, const json_t *description) {
    const json_t *durations, *border;
    const char *plugin;
    char le[32];
    size_t i;

    json_object_foreach (json_object_get(description, "durations"), plugin, durations) {
        const char *labels[][2] = {{"plugin", plugin}, {"le", le}, {NULL, NULL}};
        double count = json_number_value(json_object_get(durations, "count"));
        json_array_foreach (json_object_get(durations, "up_to"), i, border) {
            (void)snprintf(le, sizeof(le), "%.9g", json_number_value(json_array_get(border, 0)));
            sample_of(page, "_bucket", labels, json_number_value(json_array_get(border, 1)));
        }
        (void)snprintf(le, sizeof(le), "+Inf");
        sample_of(page, "_bucket", labels, count);
        labels[1][0] = NULL;
        sample_of(page, "_sum", labels, json_number_value(json_object_get(durations, "sum")));
        sample_of(page, "_count", labels, count);
    }
}

static const struct family of_servers[] = {
    {"theseus_info", "gauge", "A server that runs: its version, and the host that started it.", add_info},
    {"theseus_healthy", "gauge", "1 where the health check has nothing to say, else 0.", add_healthy},
    {"theseus_issues", "gauge", "What the health check has to say.", add_issues},
    {"theseus_uptime_seconds", "gauge", "Since the process began; restarts keep it.", add_uptime},
    {"theseus_clients", "gauge", "Sessions.", add_clients},
    {"theseus_sessions", "gauge", "Sessions, by their state.", add_sessions},
    {"theseus_connections_total", "counter", "Connections to the socket.", add_connections},
    {"theseus_resumptions_total", "counter", "Attempts of clients to go on with a session.", add_resumptions},
    {"theseus_requests_in_flight", "gauge", "Requests that are worked on.", add_in_flight},
    {"theseus_requests_held", "gauge", "Requests that wait for their turn.", add_held},
    {"theseus_buffered_bytes", "gauge", "Requests that wait, and answers that clients have not read.", add_buffered},
    {"theseus_last_restart_blackout_seconds", "gauge", "Of the last restart: nothing was handled.", add_last_blackout},
    {"theseus_restarts_total", "counter", "Times that this process became another image.", add_restarts},
    {"theseus_plugin_state", "gauge", "1 for each generation of a plugin, by what it is.", add_plugins},
    {"theseus_tool_calls_total", "counter", "Calls of the tools of a plugin's generation.", add_calls},
    {"theseus_tool_call_mean_seconds", "gauge", "Their mean duration.", add_mean},
    {"theseus_tool_call_p99_seconds", "gauge", "99 of 100 of them took no longer.", add_p99},
    {"theseus_tool_call_seconds", "histogram", "How long they took.", add_durations},
};

/* ---- the history: one for all servers that share the state directory ---- */

static void add_sum(struct page *page, const json_t *history, const char *key, const char *const labels[][2]) {
    const json_t *value = json_object_get(history, key);

    if (json_is_number(value))
        sample(page, labels, json_number_value(value));
}

static void add_history_restarts(struct page *page, const json_t *history) {
    add_sum(page, history, "restarts_complete", (const char *const[][2]){{"result", "complete"}, {NULL, NULL}});
    add_sum(page, history, "restarts_failed", (const char *const[][2]){{"result", "failed"}, {NULL, NULL}});
}

static void add_history_reloads(struct page *page, const json_t *history) {
    add_sum(page, history, "reloads", NULL);
}

static void add_history_crashes(struct page *page, const json_t *history) {
    add_sum(page, history, "crashes", NULL);
}

/* A rate without an event is not known, and said as nothing. */
static void add_metric(struct page *page, const json_t *history, const char *name, double scale) {
    const json_t *value = json_object_get(json_object_get(json_object_get(history, "metrics"), name), "value");

    if (json_is_number(value))
        sample(page, NULL, json_number_value(value) * scale);
}

static void add_blackout(struct page *page, const json_t *history) {
    add_metric(page, history, "blackout", 1e-3);
}

static void add_success(struct page *page, const json_t *history) {
    add_metric(page, history, "success_rate", 1e-2);
}

static void add_reconnection(struct page *page, const json_t *history) {
    add_metric(page, history, "reconnection_rate", 1e-2);
}

static void add_preservation(struct page *page, const json_t *history) {
    add_metric(page, history, "state_preservation_rate", 1e-2);
}

static void add_alerts(struct page *page, const json_t *history) {
    sample(page, NULL, (double)json_array_size(json_object_get(history, "alerts")));
}

static void add_figures(struct page *page, const json_t *history) {
    const char *plugin, *name, *label;
    json_t *names, *labels, *value;

    json_object_foreach (json_object_get(history, "figures"), plugin, names)
        json_object_foreach (names, name, labels)
            json_object_foreach (labels, label, value)
                sample(page,
                       (const char *const[][2]){{"plugin", plugin}, {"name", name}, {"label", label}, {NULL, NULL}},
                       json_number_value(value));
}

static const struct family of_history[] = {
    {"theseus_history_restarts", "gauge", "Restarts that the history has.", add_history_restarts},
    {"theseus_history_reloads", "gauge", "Reloads that the history has.", add_history_reloads},
    {"theseus_history_crashes", "gauge", "Crashes that the history has.", add_history_crashes},
    {"theseus_restart_blackout_p99_seconds", "gauge", "Blackout of restarts within 24 hours.", add_blackout},
    {"theseus_restart_success_ratio", "gauge", "Restarts within 24 hours that were completed.", add_success},
    {"theseus_reconnection_ratio", "gauge", "Lost connections within 24 hours that came back.", add_reconnection},
    {"theseus_state_preservation_ratio", "gauge", "Restarts within 24 hours that lost nothing.", add_preservation},
    {"theseus_alerts", "gauge", "Metrics beyond their alert thresholds.", add_alerts},
    {"theseus_plugin_figure", "gauge", "What plugins have to say in numbers.", add_figures},
};

/* ---- pages ---- */

static void begin_family(struct page *page, const struct family *family) {
    page->family = family;
    append(page, "# HELP ");
    append(page, family->name);
    append(page, " ");
    append(page, family->help);
    append(page, "\n# TYPE ");
    append(page, family->name);
    append(page, " ");
    append(page, family->type);
    append(page, "\n");
}

static char *finish(struct page *page) {
    char *text = page->failed ? NULL : buf_take_string(&page->text);

    buf_fini(&page->text);
    return text;
}

char *prometheus_render(const json_t *description) {
    struct page page = {0};

    for (size_t i = 0; i < ARRAY_SIZE(of_servers); i++) {
        begin_family(&page, &of_servers[i]);
        of_servers[i].add(&page, description);
    }
    return finish(&page);
}

char *prometheus_render_all(const json_t *descriptions, const json_t *history) {
    struct page page = {0};
    const json_t *description;
    size_t k;

    for (size_t i = 0; i < ARRAY_SIZE(of_servers); i++) {
        begin_family(&page, &of_servers[i]);
        json_array_foreach (descriptions, k, description) {
            page.pid = json_integer_value(json_object_get(description, "pid"));
            of_servers[i].add(&page, description);
        }
    }
    page.pid = 0;
    for (size_t i = 0; history && i < ARRAY_SIZE(of_history); i++) {
        begin_family(&page, &of_history[i]);
        of_history[i].add(&page, history);
    }
    return finish(&page);
}
