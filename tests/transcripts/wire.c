#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "peer.h"

enum { READ_BYTES = 256 << 10, OBJECT_TURN_MS = 2 };

void wire_init(struct wire *wire, struct peer *peer) {
    *wire = (struct wire){.peer = peer};
    list_init(&wire->inbox);
}

struct arrival *arrival_free(struct arrival *arrival) {
    if (!arrival)
        return NULL;
    list_remove(&arrival->link);
    json_decref(arrival->json);
    free(arrival->text);
    free(arrival);
    return NULL;
}

void wire_fini(struct wire *wire) {
    list_for_each (link, &wire->inbox)
        (void)arrival_free(list_entry(link, struct arrival, link));
    buf_fini(&wire->out);
    buf_fini(&wire->in);
}

int wire_send(struct wire *wire, struct span bytes, struct theseus_error *err) {
    return buf_append(&wire->out, bytes, err);
}

void wire_push(struct wire *wire) {
    while (wire->out.len > 0 && !wire->broken && peer_in(wire->peer) >= 0) {
        struct span bytes = buf_span(&wire->out);
        ssize_t n = write(peer_in(wire->peer), bytes.data, bytes.len);
        if (n > 0)
            buf_consume(&wire->out, (size_t)n, 0);
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            wire->broken = true;
    }
}

static int take_line(struct wire *wire, struct span line, struct theseus_error *err) {
    struct arrival *arrival = xcalloc(1, sizeof(*arrival));
    json_error_t problem;

    arrival->text = xstrndup(line.data, line.len);
    arrival->json = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);
    list_append(&wire->inbox, &arrival->link);
    if (json_is_object(arrival->json))
        return 0;
    return fail(err, ERR_PARSE, "the server wrote a line that is no JSON object: %.120s", arrival->text);
}

static int take_lines(struct wire *wire, struct theseus_error *err) {
    for (;;) {
        struct span bytes = buf_span(&wire->in);
        const char *end = bytes.len ? memchr(bytes.data, '\n', bytes.len) : NULL;
        if (!end)
            return 0;
        size_t len = (size_t)(end - bytes.data);
        if (take_line(wire, (struct span){bytes.data, len}, err) < 0)
            return -1;
        buf_consume(&wire->in, len + 1, READ_BYTES);
    }
}

static int pull(struct wire *wire, struct theseus_error *err) {
    while (!wire->deaf && !wire->ended) {
        char *room = buf_reserve(&wire->in, READ_BYTES);
        if (!room)
            return fail(err, ERR_MEMORY, "no memory to read");
        ssize_t n = read(peer_out(wire->peer), room, READ_BYTES);
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        wire->ended = n <= 0;
        if (n > 0)
            buf_added(&wire->in, (size_t)n);
        if (take_lines(wire, err) < 0)
            return -1;
    }
    return 0;
}

static void wait_for_bytes(const struct wire *wire, int timeout_ms) {
    struct pollfd fds[] = {
        {.fd = wire->deaf || wire->ended ? -1 : peer_out(wire->peer), .events = POLLIN},
        {.fd = wire->out.len > 0 && !wire->broken ? peer_in(wire->peer) : -1, .events = POLLOUT},
        {.fd = wire->ended || wire->deaf ? peer_over_fd(wire->peer) : -1, .events = POLLIN},
    };

    (void)poll(fds, ARRAY_SIZE(fds), timeout_ms);
}

int wire_pump(struct wire *wire, int timeout_ms, struct theseus_error *err) {
    bool object = peer_turn(wire->peer, 0);

    if (peer_over_fd(wire->peer) < 0 && !object)
        (void)peer_turn(wire->peer, timeout_ms < OBJECT_TURN_MS ? timeout_ms : OBJECT_TURN_MS);
    else if (!object)
        wait_for_bytes(wire, timeout_ms);
    wire_push(wire);
    return pull(wire, err);
}
