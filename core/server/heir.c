#include "server/heir.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "conn/passage.h"
#include "ledger/ledgerfile.h"
#include "server/handover.h"
#include "server/inner.h"
#include "server/interrupted.h"

enum { WAIT_MS = 3000, LOOK_MS = 2 };

/* ---- the file ---- */

static char *socket_path_of(const struct server_args *args, const struct config *config) {
    struct sockaddr_un address = {0};
    socklen_t size = sizeof(address);

    if (args->is_given && getsockname(args->given, (struct sockaddr *)&address, &size) == 0 && address.sun_path[0])
        return xstrndup(address.sun_path, sizeof(address.sun_path));
    return xstrdup(config->listen.unix_path);
}

/* What nobody will find ends with the process. */
static int make_unfound(struct ledger **ret_ledger, const struct theseus_error *why, struct theseus_error *err) {
    log_warning("the server would not survive a kill -9: %s", why->message);
    return ledger_create(ret_ledger, -1, err);
}

static int make(struct ledger **ret_ledger, int *fd, struct theseus_error *err) {
    struct theseus_error why = {0};

    if (ledger_create(ret_ledger, *fd, &why) == 0) {
        (void)fd_take(fd);
        return 0;
    }
    ledgerfile_remove(*fd);
    return make_unfound(ret_ledger, &why, err);
}

static int take_over(struct ledger **ret_ledger, int *fd, struct theseus_error *err) {
    int r = ledger_open(ret_ledger, *fd, err);

    if (r < 0 && err->code == ERR_INVALID) {
        log_error("the ledger that a server has left cannot be read: %s; what its clients have asked for is lost",
                  err->message);
        *err = (struct theseus_error){0};
        r = ledger_create_damaged(ret_ledger, *fd, err);
    }
    if (r < 0)
        return error_prefix(err, "the ledger that a server has left: ");
    (void)fd_take(fd);
    return 0;
}

/* Whoever has it lives and serves, or is about to; or it is about to end: one that was killed keeps it until its memory
 * is given back, and a child that it was just starting has become a program. */
static int open_file(const struct config *config, const char *socket, bool is_given, int *ret_fd,
                     struct theseus_error *err) {
    const int64_t end = clock_now_ns() + WAIT_MS * INT64_C(1000000);
    const struct timespec nap = {.tv_nsec = LOOK_MS * 1000000};

    for (;;) {
        struct theseus_error why = {0};
        bool open = listening_is_open(config) || passage_is_ours(socket); /* it is closed when the listener is there */
        int r = ledgerfile_open(config->server.runtime_dir, socket, open, ret_fd, &why);
        if (r >= 0)
            return r;
        if (why.code != ERR_BUSY || (!is_given && listener_is_served(socket)) || clock_now_ns() > end)
            return fail(err, why.code, "%s", why.message);
        (void)nanosleep(&nap, NULL);
    }
}

int heir_open_ledger(struct ledger **ret_ledger, struct server_args *args, const struct config *config,
                     struct theseus_error *err) {
    CLEANUP(free) char *socket = socket_path_of(args, config);
    CLEANUP(fd_close) int fd = -1;
    struct theseus_error why = {0};
    int r = open_file(config, socket, args->is_given, &fd, &why);

    if (r < 0 && why.code == ERR_MISSING)
        return make_unfound(ret_ledger, &why, err);
    if (r < 0 && why.code == ERR_BUSY)
        return fail(err, ERR_BUSY, "%s; end it, or set listen.unix to another path than '%s'", why.message, socket);
    if (r < 0)
        return fail(err, why.code, "%s", why.message);
    if (r == 0)
        return make(ret_ledger, &fd, err);
    args->follows = args->is_crash = args->is_heir = true;
    return take_over(ret_ledger, &fd, err);
}

char *heir_obstacle(const struct server *server) {
    if (!server->listens || ledgerfile_is_found(ledger_fd(server->ledger)))
        return NULL;
    CLEANUP(free) char *why = ledgerfile_obstacle(server->config->server.runtime_dir);
    return xasprintf("the server would not survive a kill -9: %s",
                     why ? why
                         : "its ledger has no file; the next time that it is started it has one, if there is room");
}

/* ---- descriptors ---- */

static void drop_kept(void *arg, const void *record) {
    batch_drop(arg, &kept_kind, record);
}

static void read_images(void *arg, const void *recorded) {
    const struct boot_record *record = recorded;

    *(char **)arg = xstrndup(record->image_path.data, record->image_path.len);
}

/* Without it the plugins' files are copied again. */
static void lock_images(struct ledger *ledger) {
    struct boot_record boot = {.number = 1};
    struct theseus_error err = {0};
    CLEANUP(free) char *path = NULL;

    (void)ledger_find(ledger, &boot_kind, &boot, read_images, &path);
    if (!path || !*path)
        return;
    CLEANUP(fd_close) int fd = imagedir_lock_left(path);
    if (fd >= 0 && handover_keep(ledger, KEPT_IMAGES_LOCK, fd, &err) == 0)
        (void)fd_take(&fd); /* as if it had come along */
    else
        log_info("the copies of plugins in '%s' are not used again", path);
}

static void renew_descriptors(struct ledger *ledger) {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct theseus_error err = {0};

    ledger_each(ledger, &kept_kind, drop_kept, &batch);
    if (ledger_commit(ledger, &batch, &err) < 0)
        log_error("the descriptors of the server before are still recorded: %s", err.message);
    lock_images(ledger);
}

/* ---- clients ---- */

struct leaving {
    struct map *awaited, *tasks; /* keys: number of a connection; struct call_key */
    struct interrupted interrupted;
    struct batch batch;
    const struct record_kind *kind;
};

static struct span number_key(const uint64_t *number) {
    return (struct span){(const char *)number, sizeof(*number)};
}

static void note_conn(void *arg, const void *recorded) {
    const struct conn_record *record = recorded;
    struct leaving *leaving = arg;

    if (!record->lost && record->secret.len > 0)
        (void)map_put(leaving->awaited, number_key(&record->conn), leaving);
}

static void note_task(void *arg, const void *recorded) {
    const struct task_record *task = recorded;
    const struct call_key key = {task->conn, task->offset, task->index};
    struct leaving *leaving = arg;

    (void)map_put(leaving->tasks, (struct span){(const char *)&key, sizeof(key)}, leaving);
    (void)map_put(leaving->tasks, number_key(&key.conn), leaving);
}

static void await(struct leaving *leaving, struct conn_record *record) {
    record->fd_in = record->fd_out = UINT64_MAX;
    batch_put(&leaving->batch, &conn_kind, record);
}

static void settle_conn(void *arg, const void *recorded) {
    struct conn_record record = *(const struct conn_record *)recorded;
    struct leaving *leaving = arg;

    if (map_get(leaving->awaited, number_key(&record.conn))) {
        await(leaving, &record);
        return;
    }
    record.lost = 1;
    if (map_get(leaving->tasks, number_key(&record.conn)))
        await(leaving, &record);
    else
        batch_drop(&leaving->batch, &conn_kind, &record);
}

/* Kinds whose key begins with a connection's number; of those in the first list it is a call's. */
static const struct record_kind *const call_kinds[] = {&request_kind, &run_kind, &checkpoint_kind, &progress_kind};
static const struct record_kind *const conn_kinds[] = {&position_kind, &input_kind, &output_kind, &listen_kind};

static void drop_of_call(void *arg, const void *record) {
    struct leaving *leaving = arg;
    struct call_key key;

    memcpy(&key, record, sizeof(key)); /* the three numbers are the beginning of each */
    if (map_get(leaving->awaited, number_key(&key.conn)) ||
        map_get(leaving->tasks, (struct span){(const char *)&key, sizeof(key)}))
        return;
    interrupted_visit(&leaving->interrupted, leaving->kind, record);
    batch_drop(&leaving->batch, leaving->kind, record);
}

static void drop_of_conn(void *arg, const void *record) {
    struct leaving *leaving = arg;
    uint64_t number;

    memcpy(&number, record, sizeof(number));
    if (!map_get(leaving->awaited, number_key(&number)))
        batch_drop(&leaving->batch, leaving->kind, record);
}

static void each_kind(struct ledger *ledger, const struct record_kind *const *kinds, size_t count,
                      ledger_visit_fn *visit, struct leaving *leaving) {
    for (size_t i = 0; i < count; i++) {
        leaving->kind = kinds[i];
        ledger_each(ledger, kinds[i], visit, leaving);
    }
}

static void part_with_clients(struct server *server) ON_LOOP {
    struct leaving leaving = {.awaited = map_new(), .tasks = map_new(), .batch = {.reserve = true}};
    struct ledger *ledger = server->ledger;
    struct theseus_error err = {0};

    interrupted_init(&leaving.interrupted);
    ledger_each(ledger, &conn_kind, note_conn, &leaving);
    ledger_each(ledger, &task_kind, note_task, &leaving);
    ledger_each(ledger, &conn_kind, settle_conn, &leaving);
    each_kind(ledger, call_kinds, ARRAY_SIZE(call_kinds), drop_of_call, &leaving);
    each_kind(ledger, conn_kinds, ARRAY_SIZE(conn_kinds), drop_of_conn, &leaving);
    if (ledger_commit(ledger, &leaving.batch, &err) < 0)
        log_error("records of clients that are gone stay behind: %s", err.message);
    server->heir.interrupted = interrupted_tell(&leaving.interrupted, server->heir.calls);
    interrupted_fini(&leaving.interrupted);
    batch_fini(&leaving.batch);
    (void)map_free(leaving.awaited);
    (void)map_free(leaving.tasks);
}

/* ---- life ---- */

void heir_prepare(struct server *server) {
    server->heir.calls = json_array();
    renew_descriptors(server->ledger);
    part_with_clients(server);
}

void heir_add_to_event(const struct server *server, struct history_event *event) {
    event->mechanism = "ledger";
    event->calls_interrupted += server->heir.interrupted;
    (void)json_array_extend(event->errors, server->heir.calls);
}

void heir_fini(struct server *server) {
    json_decref(server->heir.calls);
}
