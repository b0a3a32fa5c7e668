#include "ledger/ledger.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

/* In the table a record's key is the kind's number, then the record's own key. */
struct stored {
    size_t len;
    char payload[];
};

struct ledger {
    pthread_mutex_t gate;
    struct map *records; /* struct stored, owned */
};

/* One change in a batch, followed by the key and the payload. */
struct op {
    bool drop;
    uint32_t key_len, payload_len;
};

struct ledger *ledger_new(void) {
    struct ledger *ledger = xcalloc(1, sizeof(*ledger));

    (void)pthread_mutex_init(&ledger->gate, NULL);
    ledger->records = map_new();
    return ledger;
}

static void free_stored(struct span key, void *value, void *arg) {
    (void)key;
    (void)arg;
    free(value);
}

struct ledger *ledger_free(struct ledger *ledger) {
    if (!ledger)
        return NULL;
    map_each(ledger->records, free_stored, NULL);
    ledger->records = map_free(ledger->records);
    (void)pthread_mutex_destroy(&ledger->gate);
    free(ledger);
    return NULL;
}

void batch_fini(struct batch *batch) {
    buf_fini(&batch->ops);
    batch->failed = false;
}

void batch_fini_cleanup(struct batch *batch) {
    batch_fini(batch);
}

static int append_op(struct buf *ops, bool drop, const struct record_kind *kind, const void *record) {
    size_t at = ops->len;
    struct op op = {.drop = drop};

    if (buf_append(ops, (struct span){(const char *)&op, sizeof(op)}, NULL) < 0 ||
        buf_append(ops, (struct span){(const char *)&kind->number, sizeof(kind->number)}, NULL) < 0 ||
        record_key(kind, record, ops, NULL) < 0)
        return -1;
    op.key_len = (uint32_t)(ops->len - at - sizeof(op));
    if (!drop && record_payload(kind, record, ops, NULL) < 0)
        return -1;
    op.payload_len = (uint32_t)(ops->len - at - sizeof(op) - op.key_len);
    memcpy(ops->data + ops->start + at, &op, sizeof(op));
    return 0;
}

void batch_put(struct batch *batch, const struct record_kind *kind, const void *record) {
    batch->failed |= append_op(&batch->ops, false, kind, record) < 0;
}

void batch_drop(struct batch *batch, const struct record_kind *kind, const void *record) {
    batch->failed |= append_op(&batch->ops, true, kind, record) < 0;
}

void ledger_enter(struct ledger *ledger) {
    (void)pthread_mutex_lock(&ledger->gate);
}

void ledger_leave(struct ledger *ledger) {
    (void)pthread_mutex_unlock(&ledger->gate);
}

static struct span read_op(struct span ops, struct op *ret_op, struct span *ret_key, struct span *ret_payload) {
    memcpy(ret_op, ops.data, sizeof(*ret_op));
    *ret_key = (struct span){ops.data + sizeof(*ret_op), ret_op->key_len};
    *ret_payload = (struct span){ret_key->data + ret_key->len, ret_op->payload_len};
    size_t all = sizeof(*ret_op) + ret_op->key_len + ret_op->payload_len;
    return (struct span){ops.data + all, ops.len - all};
}

/* The memory for every put is there before the first change is made: a commit happens as a whole or not at all. */
static int allocate(struct span ops, struct buf *ret_stored, struct theseus_error *err) {
    while (ops.len > 0) {
        struct op op;
        struct span key, payload;
        ops = read_op(ops, &op, &key, &payload);
        if (op.drop)
            continue;
        struct stored *stored = try_malloc(sizeof(*stored) + payload.len);
        if (!stored || buf_append(ret_stored, (struct span){(const char *)&stored, sizeof(stored)}, NULL) < 0) {
            free(stored);
            return fail(err, ERR_MEMORY, "no memory for a record of %zu bytes", payload.len);
        }
        stored->len = payload.len;
        if (payload.len)
            memcpy(stored->payload, payload.data, payload.len);
    }
    return 0;
}

static void apply(struct ledger *ledger, struct span ops, const struct buf *stored) {
    const char *next = stored->data + stored->start;

    while (ops.len > 0) {
        struct op op;
        struct span key, payload;
        void *before;
        ops = read_op(ops, &op, &key, &payload);
        if (op.drop) {
            before = map_take(ledger->records, key);
        } else {
            struct stored *record;
            memcpy(&record, next, sizeof(record));
            next += sizeof(record);
            before = map_put(ledger->records, key, record);
        }
        free(before);
    }
}

static void free_unused(struct buf *stored) {
    for (size_t at = 0; at < stored->len; at += sizeof(struct stored *)) {
        struct stored *record;
        memcpy(&record, stored->data + stored->start + at, sizeof(record));
        free(record);
    }
}

int ledger_commit_locked(struct ledger *ledger, struct batch *batch, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf stored = {0};
    int r = batch->failed ? fail(err, ERR_MEMORY, "no memory for a batch of records")
                          : allocate(buf_span(&batch->ops), &stored, err);

    if (r == 0)
        apply(ledger, buf_span(&batch->ops), &stored);
    else
        free_unused(&stored);
    buf_consume(&batch->ops, batch->ops.len, 4096);
    batch->failed = false;
    return r;
}

int ledger_commit(struct ledger *ledger, struct batch *batch, struct theseus_error *err) {
    ledger_enter(ledger);
    int r = ledger_commit_locked(ledger, batch, err);
    ledger_leave(ledger);
    return r;
}

int ledger_put(struct ledger *ledger, const struct record_kind *kind, const void *record, struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {0};

    batch_put(&batch, kind, record);
    return ledger_commit(ledger, &batch, err);
}

int ledger_drop(struct ledger *ledger, const struct record_kind *kind, const void *record, struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {0};

    batch_drop(&batch, kind, record);
    return ledger_commit(ledger, &batch, err);
}

/* A copy of one record, for visiting without the gate. */
struct copy {
    struct span key, payload; /* both in `bytes` */
    char bytes[];
};

struct collection {
    uint16_t kind;
    struct copy **copies; /* owned, each too */
    size_t count, capacity;
};

/* `key` with the kind in front. Owned. */
static struct copy *copy_new(struct span key, const struct stored *stored) {
    key = (struct span){key.data + sizeof(uint16_t), key.len - sizeof(uint16_t)};
    struct copy *copy = xcalloc(1, sizeof(*copy) + key.len + stored->len);
    memcpy(copy->bytes, key.data, key.len);
    memcpy(copy->bytes + key.len, stored->payload, stored->len);
    copy->key = (struct span){copy->bytes, key.len};
    copy->payload = (struct span){copy->bytes + key.len, stored->len};
    return copy;
}

static void collect(struct span key, void *value, void *arg) {
    struct collection *all = arg;
    const struct stored *stored = value;

    if (memcmp(key.data, &all->kind, sizeof(all->kind)) != 0)
        return;
    if (all->count == all->capacity) {
        all->capacity = all->capacity ? 2 * all->capacity : 16;
        all->copies = xreallocarray(all->copies, all->capacity, sizeof(struct copy *));
    }
    all->copies[all->count++] = copy_new(key, stored);
}

static int by_key(const void *a, const void *b) {
    struct span left = (*(struct copy *const *)a)->key, right = (*(struct copy *const *)b)->key;
    size_t shorter = left.len < right.len ? left.len : right.len;
    int order = memcmp(left.data, right.data, shorter);

    return order ? order : (left.len > right.len) - (left.len < right.len);
}

static void visit_copy(const struct record_kind *kind, const struct copy *copy, ledger_visit_fn *visit, void *arg) {
    CLEANUP(free) void *record = xcalloc(1, kind->size);
    struct theseus_error err = {0};

    if (record_decode(kind, copy->key, copy->payload, record, &err) == 0)
        visit(arg, record);
    else
        log_warning("a damaged %s is left out: %s", kind->name, err.message);
}

void ledger_each(struct ledger *ledger, const struct record_kind *kind, ledger_visit_fn *visit, void *arg) {
    struct collection all = {.kind = kind->number};

    ledger_enter(ledger);
    map_each(ledger->records, collect, &all);
    ledger_leave(ledger);
    if (all.count > 0)
        qsort(all.copies, all.count, sizeof(struct copy *), by_key);
    for (size_t i = 0; i < all.count; i++) {
        visit_copy(kind, all.copies[i], visit, arg);
        free(all.copies[i]);
    }
    free(all.copies);
}

void ledger_find(struct ledger *ledger, const struct record_kind *kind, const void *like, ledger_visit_fn *visit,
                 void *arg) {
    CLEANUP(buf_fini) struct buf key = {0};
    CLEANUP(free) struct copy *copy = NULL;
    struct theseus_error err = {0};

    if (buf_append(&key, (struct span){(const char *)&kind->number, sizeof(kind->number)}, &err) < 0 ||
        record_key(kind, like, &key, &err) < 0) {
        log_error("a %s cannot be looked up: %s", kind->name, err.message);
        return;
    }
    ledger_enter(ledger);
    const struct stored *stored = map_get(ledger->records, buf_span(&key));
    if (stored)
        copy = copy_new(buf_span(&key), stored);
    ledger_leave(ledger);
    if (copy)
        visit_copy(kind, copy, visit, arg);
}

size_t ledger_count(struct ledger *ledger) {
    ledger_enter(ledger);
    size_t count = map_count(ledger->records);
    ledger_leave(ledger);
    return count;
}
