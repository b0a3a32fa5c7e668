#include "conn/outbox.h"

#include <stdlib.h>

enum { CHUNK_OVERHEAD = sizeof(struct chunk) + 400 };

struct chunk *chunk_new(struct buf *line) {
    struct chunk *chunk = try_malloc(sizeof(*chunk));

    if (!chunk)
        return NULL;
    *chunk = (struct chunk){.len = line->len};
    list_init(&chunk->link);
    if (line->start > 0)
        memmove(line->data, line->data + line->start, line->len);
    chunk->data = TAKE_PTR(line->data);
    *line = (struct buf){0};
    return chunk;
}

struct chunk *chunk_free(struct chunk *chunk) {
    if (!chunk)
        return NULL;
    list_remove(&chunk->link);
    free(chunk->data);
    free(chunk);
    return NULL;
}

void outbox_init(struct outbox *outbox, uint64_t written) {
    *outbox = (struct outbox){.written = written, .end = written};
    list_init(&outbox->chunks);
    list_init(&outbox->kept);
}

void outbox_fini(struct outbox *outbox) {
    list_for_each (link, &outbox->chunks)
        (void)chunk_free(list_entry(link, struct chunk, link));
    list_for_each (link, &outbox->kept)
        (void)chunk_free(list_entry(link, struct chunk, link));
}

size_t outbox_cost_left(const struct outbox *outbox) {
    return outbox_bytes(outbox) + outbox->count * CHUNK_OVERHEAD;
}

size_t outbox_cost(const struct outbox *outbox) {
    return outbox_cost_left(outbox) + outbox->kept_bytes + outbox->kept_count * CHUNK_OVERHEAD;
}

void outbox_keep(struct outbox *outbox, struct chunk *chunk) {
    outbox->kept_count++;
    outbox->kept_bytes += chunk->len;
    list_append(&outbox->kept, &chunk->link);
}

struct chunk *outbox_acknowledge(struct outbox *outbox) {
    struct chunk *first = list_first(&outbox->kept, struct chunk, link);

    if (!first)
        return NULL;
    list_remove(&first->link);
    outbox->kept_count--;
    outbox->kept_bytes -= first->len;
    outbox->acknowledged++;
    return first;
}

void outbox_add(struct outbox *outbox, struct chunk *chunk) {
    chunk->offset = outbox->end;
    outbox->end += chunk->len;
    outbox->count++;
    list_append(&outbox->chunks, &chunk->link);
}

int outbox_parts(const struct outbox *outbox, struct iovec *parts, int max) {
    int count = 0;

    list_for_each (link, &outbox->chunks) {
        const struct chunk *chunk = list_entry(link, struct chunk, link);
        if (count == max)
            break;
        size_t gone = outbox->written > chunk->offset ? (size_t)(outbox->written - chunk->offset) : 0;
        parts[count++] = (struct iovec){chunk->data + gone, chunk->len - gone};
    }
    return count;
}

void outbox_wrote(struct outbox *outbox, size_t count) {
    outbox->written += count;
}

struct chunk *outbox_take_done(struct outbox *outbox) {
    struct chunk *first = list_first(&outbox->chunks, struct chunk, link);

    if (!first || first->offset + first->len > outbox->written)
        return NULL;
    list_remove(&first->link);
    outbox->count--;
    return first;
}
