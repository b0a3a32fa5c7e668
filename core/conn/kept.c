/*
 * Answers of a session that can be taken over by another stream: what has left is kept until the client says that it
 * has come, for what the stream before has swallowed is said again to the next one.
 */
#include <stdlib.h>

#include "base/log.h"
#include "conn/inner.h"

struct position_record kept_position(const struct conn *conn) {
    return (struct position_record){.conn = conn->number,
                                    .cut = frame_offset(conn->frame),
                                    .skipping = frame_skipping(conn->frame),
                                    .written = conn->outbox.written,
                                    .acknowledged = conn->outbox.acknowledged};
}

struct output_record kept_output(const struct conn *conn, const struct chunk *chunk) {
    return (struct output_record){conn->number, chunk->offset, {chunk->data, chunk->len}, chunk->answers};
}

/* ---- confirmation ---- */

static int acknowledge(struct conn *conn, uint64_t count, struct theseus_error *err) ON_LOOP {
    CLEANUP(batch_fini) struct batch batch = {.reserve = true};
    struct list gone;

    if (batch_reserve(&batch, count + 1, 0, err) < 0)
        return -1;
    list_init(&gone);
    ledger_enter(conn->host->ledger);
    for (; count > 0; count--) {
        struct chunk *chunk = outbox_acknowledge(&conn->outbox);
        struct output_record record = {.conn = conn->number, .offset = chunk->offset};
        batch_drop(&batch, &output_kind, &record);
        list_append(&gone, &chunk->link);
    }
    struct position_record position = kept_position(conn);
    batch_put(&batch, &position_kind, &position);
    int r = ledger_commit_locked(conn->host->ledger, &batch, err);
    ledger_leave(conn->host->ledger);
    list_for_each (link, &gone)
        (void)chunk_free(list_entry(link, struct chunk, link));
    return r;
}

/* No more than there are: what has not left cannot have come. Only the loop takes from those that are kept. */
static void drop_first(struct conn *conn, uint64_t count) ON_LOOP {
    struct theseus_error err = {0};

    if (count > conn->outbox.kept_count)
        count = conn->outbox.kept_count;
    if (count == 0)
        return;
    if (acknowledge(conn, count, &err) < 0)
        log_error("connection %d: what its client has confirmed is not recorded: %s", (int)conn->number, err.message);
    output_wake(conn);
}

void conn_acknowledge(struct conn *conn, uint64_t received) {
    if (received > conn->outbox.acknowledged)
        drop_first(conn, received - conn->outbox.acknowledged);
}

/*
 * A client that asks so much without a pause that its confirmations lie behind requests for which there is no room: the
 * older half of what is kept for it is given up, lest neither side gets on.
 */
void kept_relieve(struct conn *conn) {
    size_t max = atomic_load(&conn->max_buffered);

    if (conn->outbox.kept_count == 0 || conn->held_bytes < max || !output_is_full(conn) || !output_is_written(conn))
        return;
    log_warning("connection %d: its client does not confirm its answers; %zu of them could not be said again",
                (int)conn->number, (conn->outbox.kept_count + 1) / 2);
    conn->doubtful = true;
    conn_session_changed(conn);
    drop_first(conn, (conn->outbox.kept_count + 1) / 2);
}

void kept_forget(struct conn *conn) {
    drop_first(conn, conn->outbox.kept_count);
}

/* ---- which they are ---- */

static void note(struct map *ids, const struct chunk *chunk) {
    CLEANUP(message_fini) struct message message = {0};
    CLEANUP(buf_fini) struct buf key = {0};

    if (message_read((struct span){chunk->data, chunk->len}, &message, NULL) == 0 && message.id &&
        message_id_key(message.id, &key, NULL) == 0)
        (void)map_put(ids, buf_span(&key), ids);
}

/* Chunks are freed by the loop alone: behind the gate they can be read at leisure. */
struct map *kept_ids_new(struct conn *conn, uint64_t received) {
    const struct list *const lists[] = {&conn->outbox.kept, &conn->outbox.chunks};
    struct map *ids = map_new();
    size_t count = 0;

    ledger_enter(conn->host->ledger);
    size_t max = conn->outbox.kept_count + conn->outbox.count;
    ledger_leave(conn->host->ledger);
    struct chunk **chunks = xcalloc(max + 1, sizeof(struct chunk *));
    ledger_enter(conn->host->ledger);
    uint64_t number = conn->outbox.acknowledged;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        list_for_each (link, (struct list *)lists[i]) {
            struct chunk *chunk = list_entry(link, struct chunk, link);
            number += chunk->answers;
            if (count < max && chunk->answers && number > received)
                chunks[count++] = chunk;
        }
    ledger_leave(conn->host->ledger);
    for (size_t i = 0; i < count; i++)
        note(ids, chunks[i]);
    free(chunks);
    return ids;
}
