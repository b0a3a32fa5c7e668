/*
 * The limit on memory, limits.memory: it takes effect at once, and what is used up is noticed here.
 *
 * While the core lives on its reserve, calls are refused explicitly, those aside that tell of the matter or restart the
 * server. What a client sends that there is no memory to read waits in the kernel. Memory that nobody gives back is a
 * leak, of which only another image is rid; where that is of no use, what cannot be read is refused.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/memlimit.h"
#include "server/inner.h"

enum { LOOK_MS = 200, PATIENCE_MS = 10000 };

static void look_at(void *arg, struct conn *conn) ON_LOOP {
    *(bool *)arg |= conn_is_starved(conn);
}

static bool has_starved(const struct server *server) ON_LOOP {
    bool found = false;

    if (server->clients)
        clients_each(server->clients, look_at, &found);
    return found;
}

/* Owned. */
static char *trouble_new(const struct server *server) ON_LOOP {
    const char *why =
        has_starved(server) ? "the server has no memory to read what a client sends" : "the server is short of memory";

    if (memlimit_bytes() == 0)
        return xasprintf("%s: the system gives the process no more", why);
    return xasprintf("%s: %zu of %zu MiB (limits.memory) are in use", why, memlimit_used() >> 20,
                     memlimit_bytes() >> 20);
}

static bool is_overdue(const struct server *server) {
    return server->memory.short_ms > 0 && loop_now_ms(server->loop) - server->memory.short_ms >= PATIENCE_MS;
}

static void on_look(void *arg) {
    struct server *server = arg;
    struct memory *memory = &server->memory;

    loop_enter();
    if (!memlimit_look_again() && !has_starved(server)) {
        log_warning("there is memory again");
        timer_stop(memory->look);
        memory->short_ms = 0;
        return;
    }
    if (!is_overdue(server))
        return;
    CLEANUP(free) char *trouble = trouble_new(server);
    (void)rescue_from(server, trouble);
}

static void note_short(struct server *server) ON_LOOP {
    CLEANUP(free) char *trouble = trouble_new(server);
    struct memory *memory = &server->memory;

    if (memory->short_ms > 0)
        return;
    memory->short_ms = loop_now_ms(server->loop);
    log_error(
        "%s; calls are refused until there is some again. If that takes %d s the server restarts, which gives back "
        "what plugins have kept; raise limits.memory if they need as much",
        trouble, PATIENCE_MS / 1000);
    timer_start(memory->look, LOOK_MS, LOOK_MS);
}

char *memory_refuses(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (!memlimit_is_short() || !memlimit_look_again())
        return NULL;
    note_short(server);
    return trouble_new(server);
}

bool memory_on_starved(struct server *server, struct conn *conn) {
    (void)conn;
    if (server->leaving)
        return false;
    note_short(server);
    if (!is_overdue(server))
        return true;
    CLEANUP(free) char *trouble = trouble_new(server);
    return rescue_from(server, trouble);
}

static void on_noticed(void *arg) {
    loop_enter();
    free(memory_refuses(arg));
}

/* In the middle of an allocation, on any thread. */
static void tell(void *arg) {
    struct server *server = arg;

    loop_post_task(server->loop, &server->memory.noticed);
}

void memory_apply(struct server *server) {
    struct theseus_error err = {0};

    if (server->config->limits.memory > 0 && !memlimit_works())
        log_warning("limits.memory has no effect in this build, whose sanitizer needs memory of its own");
    if (memlimit_set(server->config->limits.memory, &err) < 0)
        log_error("limits.memory: %s", err.message);
}

/* What jansson allocates for the core and for plugins may come from the reserve as what peers chose. */
void memory_init(struct server *server) {
    json_set_alloc_funcs(try_malloc, free);
    server->memory.look = timer_new(server->loop, on_look, server);
    server->memory.noticed = (struct loop_task){.run = on_noticed, .arg = server};
    memlimit_tell(tell, server);
    memory_apply(server);
}

void memory_fini(struct server *server) {
    if (!server->loop)
        return;
    memlimit_tell(NULL, NULL);
    loop_forget(server->loop, &server->memory.noticed);
    server->memory.look = timer_free(server->memory.look);
}

json_t *memory_report_new(struct server *server, json_t *issues) {
    CLEANUP(free) char *text = memory_refuses(server);

    if (text)
        (void)json_array_append_new(issues, json_string(text));
    return json_pack("{s:I, s:I, s:b}", "limit", (json_int_t)memlimit_bytes(), "used", (json_int_t)memlimit_used(),
                     "short", text != NULL);
}
