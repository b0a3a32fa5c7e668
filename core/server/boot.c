/* Who this server is: its names, its program, and how many images there were before. It goes on from image to image. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/records.h"
#include "server/inner.h"

static char *random_id(void) {
    unsigned char random[8];

    if (getentropy(random, sizeof(random)) < 0)
        abort();
    return xasprintf("%02x%02x%02x%02x%02x%02x%02x%02x", random[0], random[1], random[2], random[3], random[4],
                     random[5], random[6], random[7]);
}

static char *text_of(struct span span) {
    return xstrndup(span.data, span.len);
}

/* What an image before has left: who we are. */
static void read_boot(void *arg, const void *recorded) {
    const struct boot_record *record = recorded;
    struct server *server = arg;

    free(server->started_by);
    server->origin = text_of(record->origin);
    server->started_by = text_of(record->program);
    server->image_path = record->image_path.len ? text_of(record->image_path) : NULL;
    server->started_ms = (int64_t)record->started_ms;
    server->images = record->images;
    server->last_duration_ms = (int64_t)record->last_duration_ms;
    server->was_awake = record->awake;
    if (record->tools.len < sizeof(server->tools_digest))
        memcpy(server->tools_digest, record->tools.data, record->tools.len);
    if (record->resources.len < sizeof(server->resources_digest))
        memcpy(server->resources_digest, record->resources.data, record->resources.len);
}

/* It goes on under the name of another one, and is itself all the same. */
static void begin_process(struct server *server, const struct server_args *args) {
    free(server->started_by);
    server->started_by = xstrdup(args->started_by ? args->started_by : args->program);
    server->started_ms = clock_wall_ms();
    server->images = 0;
}

void boot_init(struct server *server, const struct server_args *args) {
    struct boot_record record = {.number = 1};

    server->boot_id = args->boot_id ? xstrdup(args->boot_id) : random_id();
    server->started_by = xstrdup(args->started_by ? args->started_by : args->program);
    server->started_ms = clock_wall_ms();
    if (args->follows)
        (void)ledger_find(server->ledger, &boot_kind, &record, read_boot, server);
    if (!server->origin)
        server->origin = xstrdup(server->boot_id);
    if (server->heir.came)
        begin_process(server, args);
    server->images++;
}

int boot_keep(struct server *server, struct theseus_error *err) {
    const char *images = imagedir_path(server->imagedir);
    struct boot_record record = {.number = 1,
                                 .origin = span_of(server->origin),
                                 .boot = span_of(server->boot_id),
                                 .program = span_of(server->started_by),
                                 .image_path = span_of(images ? images : ""),
                                 .started_ms = (uint64_t)server->started_ms,
                                 .images = server->images,
                                 .tools = span_of(server->tools_digest),
                                 .resources = span_of(server->resources_digest),
                                 .awake = server->awake,
                                 .last_duration_ms = (uint64_t)server->last_duration_ms};

    return ledger_put(server->ledger, &boot_kind, &record, err);
}
