/*
 * The limit on memory, limits.memory: it takes effect at once, and what is used up is noticed here.
 *
 * While the core lives on its reserve, calls are refused explicitly, those aside that tell of the matter or restart the
 * server. Memory that nobody gives back is a leak, of which only another image is rid.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/memlimit.h"
#include "server/inner.h"

enum { LOOK_MS = 200, PATIENCE_MS = 10000 };

static void on_look(void *arg) {
    struct server *server = arg;
    struct memory *memory = &server->memory;
    CLEANUP(free) char *text = NULL;

    loop_enter();
    if (!memlimit_look_again()) {
        log_warning("there is memory again");
        timer_stop(memory->look);
        memory->short_ms = 0;
        return;
    }
    text = memory_refuses(server);
    if (loop_now_ms(server->loop) - memory->short_ms >= PATIENCE_MS)
        rescue_from(server, text);
}

static void note_short(struct server *server) ON_LOOP {
    struct memory *memory = &server->memory;

    memory->short_ms = loop_now_ms(server->loop);
    log_error("the memory that limits.memory allows (%zu MiB) is used up; calls are refused until there is some again",
              memlimit_bytes() >> 20);
    timer_start(memory->look, LOOK_MS, LOOK_MS);
}

char *memory_refuses(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (!memlimit_is_short() || !memlimit_look_again())
        return NULL;
    if (server->memory.short_ms == 0)
        note_short(server);
    return xasprintf("the server is short of memory: %zu of %zu MiB (limits.memory) are in use", memlimit_used() >> 20,
                     memlimit_bytes() >> 20);
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
    memory_apply(server);
}

void memory_fini(struct server *server) {
    server->memory.look = timer_free(server->memory.look);
}

json_t *memory_report_new(struct server *server, json_t *issues) {
    CLEANUP(free) char *text = memory_refuses(server);

    if (text)
        (void)json_array_append_new(issues, json_string(text));
    return json_pack("{s:I, s:I, s:b}", "limit", (json_int_t)memlimit_bytes(), "used", (json_int_t)memlimit_used(),
                     "short", text != NULL);
}
