#include "server/quarantine.h"

void quarantine_count(struct server *server, const struct crash_note *note) {
    (void)server;
    (void)note;
}

const char *quarantine_next(const struct server *server, const struct crash_note *note) {
    (void)server;
    (void)note;
    return "still there";
}
