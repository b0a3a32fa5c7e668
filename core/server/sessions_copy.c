/*
 * Sessions are tried by doing with them what a restart does: written to a ledger, and read from it by the program that
 * would come next. Of bytes and requests a hash is enough to see a difference.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "server/sessions.h"

/* Each of these has the connection's number as its first member. */
static const struct record_kind *const kinds[] = {&conn_kind,       &position_kind, &input_kind,
                                                  &request_kind,    &run_kind,      &output_kind,
                                                  &checkpoint_kind, &progress_kind, &listen_kind};

enum { COPY_TRIES = 16 };

struct digest {
    const struct record_kind *kind;
    json_t *conns; /* number → object */
};

/* Borrowed from `object`: what is under `key`, made when it is missing. */
static json_t *member(json_t *object, const char *key) {
    if (!json_object_get(object, key))
        (void)json_object_set_new(object, key, json_object());
    return json_object_get(object, key);
}

/* One hash after the other: of all records of the kind, in the order of their keys. */
static void add_field(json_t *object, const struct record_field *field, const void *record) {
    const void *at = (const char *)record + field->offset;
    struct span bytes = field->type == RECORD_U64 ? (struct span){at, sizeof(uint64_t)} : *(const struct span *)at;
    char key[16], hash[HASH_TEXT_BYTES];
    CLEANUP(buf_fini) struct buf chain = {0};

    (void)snprintf(key, sizeof(key), "%d", field->number);
    const char *before = json_string_value(json_object_get(object, key));
    hash_text(bytes, hash);
    if (before && buf_append(&chain, span_of(before), NULL) == 0 && buf_append(&chain, span_of(hash), NULL) == 0)
        hash_text(buf_span(&chain), hash);
    (void)json_object_set_new(object, key, json_string(hash));
}

static void add_record(void *arg, const void *record) {
    const struct digest *digest = arg;
    char conn[32];

    (void)snprintf(conn, sizeof(conn), "%llu", (unsigned long long)*(const uint64_t *)record);
    json_t *object = member(member(digest->conns, conn), digest->kind->name);
    json_int_t count = json_integer_value(json_object_get(object, "count"));
    (void)json_object_set_new(object, "count", json_integer(count + 1));
    for (size_t i = 0; i < digest->kind->count; i++)
        add_field(object, &digest->kind->fields[i], record);
}

json_t *sessions_digest_new(struct ledger *ledger) {
    struct digest digest = {.conns = json_object()};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        digest.kind = kinds[i];
        ledger_each(ledger, digest.kind, add_record, &digest);
    }
    return digest.conns;
}

/* ---- copying ---- */

struct copy {
    struct ledger *to;
    const struct record_kind *kind;
    struct theseus_error *err;
    int r;
};

static void copy_record(void *arg, const void *record) {
    struct copy *copy = arg;

    if (copy->r == 0)
        copy->r = ledger_put(copy->to, copy->kind, record, copy->err);
}

/* A new ledger with those records; its descriptor. */
static int copy_all(struct ledger *ledger, int *ret_fd, struct theseus_error *err) {
    CLEANUP(ledger_free) struct ledger *to = NULL;
    struct copy copy = {.err = err};

    if (ledger_create(&to, -1, err) < 0)
        return -1;
    copy.to = to;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        copy.kind = kinds[i];
        ledger_each(ledger, copy.kind, copy_record, &copy);
    }
    if (copy.r < 0)
        return -1;
    *ret_fd = fcntl(ledger_fd(to), F_DUPFD_CLOEXEC, 3);
    return *ret_fd < 0 ? fail_errno(err, "cannot keep a scratch ledger") : 0;
}

int sessions_copy(struct ledger *ledger, int *ret_fd, json_t **ret_digest, struct theseus_error *err) {
    for (int i = 0; i < COPY_TRIES; i++) {
        json_auto_t *before = sessions_digest_new(ledger);
        CLEANUP(fd_close) int fd = -1;
        if (copy_all(ledger, &fd, err) < 0)
            return -1;
        json_auto_t *after = sessions_digest_new(ledger);
        if (!json_equal(before, after))
            continue;
        *ret_fd = fd_take(&fd);
        *ret_digest = TAKE_PTR(after);
        return 0;
    }
    return fail(err, ERR_BUSY, "calls end faster than the sessions can be copied; try again");
}

/* ---- reading back ---- */

int sessions_read_command(void) {
    CLEANUP(ledger_free) struct ledger *ledger = NULL;
    CLEANUP(fd_close) int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    struct theseus_error err = {0};

    if (fd < 0 || ledger_open(&ledger, fd, &err) < 0) {
        (void)fprintf(stderr, "theseus: %s\n", fd < 0 ? "standard input is closed" : err.message);
        return 1;
    }
    (void)fd_take(&fd); /* the ledger's */
    json_auto_t *digest = sessions_digest_new(ledger);
    if (json_dumpf(digest, stdout, JSON_COMPACT) < 0 || fflush(stdout) != 0)
        return 1;
    return 0;
}
