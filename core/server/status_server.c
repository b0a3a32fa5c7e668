#include "server/status_server.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "server/rows.h"

enum { FRESH_S = 2, SILENT_S = 30, CLIENT_ROWS = 8 }; /* a server says something every 15 s */

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static long long number_of(const json_t *object, const char *name) {
    return (long long)json_number_value(json_object_get(object, name));
}

/* Owned. */
static char *span_text(long long seconds) {
    long long minutes = seconds / 60;

    if (minutes >= 24LL * 60)
        return xasprintf("%lld d %lld h", minutes / (24LL * 60), minutes / 60 % 24);
    if (minutes >= 60)
        return xasprintf("%lld h %lld min", minutes / 60, minutes % 60);
    return xasprintf("%lld min %lld s", minutes, seconds % 60);
}

/* How old all of it is, where that matters. Owned. */
static char *age_text(long long age) {
    if (age <= FRESH_S)
        return xstrdup("");
    if (age < SILENT_S)
        return xasprintf(", as of %lld s ago", age);
    CLEANUP(free) char *silent = span_text(age);
    return xasprintf(", silent for %s", silent);
}

static void print_head(FILE *out, const json_t *sign) {
    const json_t *health = json_object_get(sign, "health");
    long long age = number_of(sign, "age_s");
    bool is_silent = age >= SILENT_S, is_well = json_is_true(json_object_get(health, "healthy"));
    CLEANUP(free) char *up = span_text(number_of(health, "uptime_s") + (age > 0 ? age : 0));
    CLEANUP(free) char *as_of = age_text(age);

    (void)fprintf(out, "theseus %s, pid %lld, %s, up %s%s\n", text_of(sign, "version"), number_of(sign, "pid"),
                  is_silent ? "NOT HEARD OF"
                  : is_well ? "healthy"
                            : "NOT HEALTHY",
                  up, as_of);
    if (is_silent)
        rows_print(out, "to be mended", "it runs and says nothing: stopped, or busy with something that does not end");
}

static void print_texts(FILE *out, const char *label, const json_t *texts) {
    const json_t *text;
    size_t i;

    json_array_foreach (texts, i, text)
        rows_print(out, i ? NULL : label, "%s", json_is_string(text) ? json_string_value(text) : "");
}

/* ---- clients: those that look the same are one row ---- */

/* Owned. */
static char *client_text(const json_t *session) {
    const json_t *client = json_object_get(session, "client");
    const char *name = text_of(client, "name");

    return xasprintf("%s%s%s, %s, %s", name[0] ? name : "(nameless)", name[0] ? " " : "", text_of(client, "version"),
                     text_of(session, "transport"), text_of(session, "state"));
}

static json_t *count_new(const json_t *clients) {
    json_t *counts = json_object();
    const json_t *session;
    size_t i;

    json_array_foreach (clients, i, session) {
        CLEANUP(free) char *text = client_text(session);
        json_int_t before = json_integer_value(json_object_get(counts, text));
        (void)json_object_set_new(counts, text, json_integer(before + 1));
    }
    return counts;
}

static void print_clients(FILE *out, const json_t *clients) {
    json_auto_t *counts = count_new(clients);
    long long rest = (long long)json_array_size(clients);
    json_t *count;
    const char *text;
    int rows = 0;

    rows_print(out, "clients", "%lld", rest);
    json_object_foreach (counts, text, count) {
        long long these = json_integer_value(count);
        if (++rows > CLIENT_ROWS)
            continue;
        CLEANUP(free) char *times = these > 1 ? xasprintf("%lld × ", these) : xstrdup("");
        rows_print(out, NULL, "%s%s", times, text);
        rest -= these;
    }
    if (rest > 0)
        rows_print(out, NULL, "and %lld others", rest);
}

/* ---- the rest ---- */

static void print_requests(FILE *out, const json_t *requests) {
    long long bytes = number_of(requests, "held_bytes") + number_of(requests, "unread_bytes");

    rows_print(out, "requests", "%lld worked on, %lld held, %lld KB in buffers", number_of(requests, "in_flight"),
               number_of(requests, "held"), (bytes + 1023) / 1024);
}

static void print_plugins(FILE *out, const json_t *plugins) {
    const json_t *plugin;
    size_t i;

    json_array_foreach (plugins, i, plugin) {
        const json_t *calls = json_object_get(plugin, "calls");
        rows_print(out, i ? NULL : "plugins", "%s %s, %s: %lld calls, %lld failed", text_of(plugin, "name"),
                   text_of(plugin, "version"), text_of(plugin, "state"), number_of(calls, "served"),
                   number_of(calls, "failed"));
    }
}

void status_print_server(FILE *out, const json_t *sign) {
    const json_t *health = json_object_get(sign, "health"), *listener = json_object_get(sign, "listener");

    print_head(out, sign);
    print_texts(out, "to be mended", json_object_get(health, "issues"));
    print_texts(out, "to be known", json_object_get(health, "warnings"));
    rows_print(out, "directory", "%s", text_of(sign, "directory"));
    rows_print(out, "configuration", "%s", text_of(sign, "config"));
    if (json_is_object(listener))
        rows_print(out, "socket", "%s", text_of(listener, "path"));
    print_clients(out, json_object_get(sign, "clients"));
    print_requests(out, json_object_get(sign, "requests"));
    print_plugins(out, json_object_get(sign, "plugins"));
    rows_print(out, "restarts", "%lld of this process; %s", number_of(sign, "restarts"),
               text_of(json_object_get(sign, "restart"), "message"));
}
