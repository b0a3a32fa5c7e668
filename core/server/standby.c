#include "server/standby.h"

#include "base/inherit.h"
#include "base/log.h"
#include "server/crash.h"
#include "server/handover.h"
#include "server/inner.h"

static int change(struct server *server, const char *name, int before, int fd, struct theseus_error *err) ON_LOOP {
    if (before >= 0)
        inherit_drop(before);
    if (fd < 0)
        return handover_forget(server->ledger, name, err);
    return inherit_add(fd, err) < 0 ? -1 : handover_keep(server->ledger, name, fd, err);
}

static void keep(struct server *server, const char *name, int *kept, int fd) ON_LOOP {
    struct theseus_error err = {0};

    if (*kept != fd && change(server, name, *kept, fd, &err) < 0)
        log_error("'%s' would be lost in a crash: %s", name, err.message);
    *kept = fd;
}

void standby_update(struct server *server) {
    struct standby *standby = &server->standby;
    struct theseus_error err = {0};

    ledger_guard(server->ledger, server->config->crash.guard);
    if (!standby->on)
        return;
    keep(server, KEPT_IMAGES_LOCK, &standby->images_lock, imagedir_lock_fd(server->imagedir));
    keep(server, KEPT_SNAPSHOT_LOCK, &standby->snapshot_lock, upkeep_lock_fd(server));
    if (boot_keep(server, &err) < 0)
        log_error("%s", err.message);
    crash_set_core_dump(server->config->server.core_dump);
}

void standby_begin(struct server *server) {
    struct crash_spec spec = {
        .ledger = server->ledger, .loop = server->loop, .exe_fd = server->exe_fd, .argv = server->argv};
    struct theseus_error err = {0};

    if (!server->argv || server->plugin_host.rehearsal || server->standby.on)
        return;
    if (crash_arm(&spec, &err) < 0)
        log_error("a crash will end the server: %s", err.message);
    server->standby = (struct standby){.on = true, .images_lock = -1, .snapshot_lock = -1};
    standby_update(server);
}

void standby_end(struct server *server) {
    if (!server->standby.on)
        return;
    server->standby.on = false;
    crash_disarm();
    inherit_drop(server->standby.images_lock);
    inherit_drop(server->standby.snapshot_lock);
}
