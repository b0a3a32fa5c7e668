#include "connect/enquiry.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "connect/dial.h"
#include "connect/wire.h"
#include "rpc/message.h"

enum { GREETING_MS = 10000, CHUNK = 65536 };

struct enquiry {
    const char *path;
    int fd;
    struct buf output, input;
    bool greeted; /* the greeting is answered: what waits now is the request, as long as the server lets it */
    int64_t greeting_end_ns;
    json_t *answer; /* owned */
};

static void enquiry_fini_cleanup(struct enquiry *enquiry) {
    fd_close_cleanup(&enquiry->fd);
    buf_fini(&enquiry->output);
    buf_fini(&enquiry->input);
    json_decref(enquiry->answer);
}

/* A session that is over at once: it is named for its directory, and nothing of it is kept for anybody. */
static int write_lines(struct enquiry *enquiry, const char *directory, struct span request, struct theseus_error *err) {
    json_auto_t *nothing = json_array();

    if (wire_write_greeting(directory, NULL, NULL, nothing, 0, &enquiry->output, err) < 0 ||
        wire_write_bye(&enquiry->output, err) < 0)
        return -1;
    return buf_append(&enquiry->output, request, err);
}

/* ---- what comes ---- */

static int take_greeting(struct enquiry *enquiry, const struct message *message, struct theseus_error *err) {
    struct wire_greeting greeting;
    const json_t *error = json_object_get(message->root, "error");

    if (!message->id && error)
        return fail(err, ERR_REQUEST, "%s", json_string_value(json_object_get(error, "message")));
    if (wire_read_greeting(message, &greeting, err) < 0)
        return -1;
    if (greeting.answer == WIRE_REFUSED)
        return fail(err, ERR_REQUEST, "%s", greeting.why);
    enquiry->greeted = true;
    return 0;
}

/* Notifications come between. */
static int take_line(struct enquiry *enquiry, struct span line, struct theseus_error *err) {
    CLEANUP(message_fini) struct message message = {0};

    if (message_read(line, &message, err) < 0)
        return error_prefix(err, "what answers at '%s' is no server: ", enquiry->path);
    if (message.kind != MESSAGE_RESPONSE)
        return 0;
    if (!enquiry->greeted)
        return take_greeting(enquiry, &message, err);
    enquiry->answer = json_incref(message.root);
    return 0;
}

static int take_lines(struct enquiry *enquiry, struct theseus_error *err) {
    while (!enquiry->answer) {
        struct span bytes = buf_span(&enquiry->input);
        const char *end = bytes.len ? memchr(bytes.data, '\n', bytes.len) : NULL;
        if (!end)
            return 0;
        size_t len = (size_t)(end - bytes.data);
        if (take_line(enquiry, (struct span){bytes.data, len}, err) < 0)
            return -1;
        buf_consume(&enquiry->input, len + 1, CHUNK);
    }
    return 0;
}

static int take_bytes(struct enquiry *enquiry, struct theseus_error *err) {
    char *room = buf_reserve(&enquiry->input, CHUNK);

    if (!room)
        return fail(err, ERR_MEMORY, "no memory for the answer");
    ssize_t n = recv(enquiry->fd, room, CHUNK, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return fail(err, ERR_INTERNAL, "the server at '%s' went away without an answer%s", enquiry->path,
                    enquiry->greeted ? "; the call may have executed" : "");
    buf_added(&enquiry->input, (size_t)n);
    return take_lines(enquiry, err);
}

/* ---- to and fro ---- */

static int send_bytes(struct enquiry *enquiry, struct theseus_error *err) {
    struct span bytes = buf_span(&enquiry->output);
    ssize_t n = send(enquiry->fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n > 0)
        buf_consume(&enquiry->output, (size_t)n, 0);
    if (n >= 0 || errno == EAGAIN || errno == EINTR || errno == EPIPE || errno == ECONNRESET)
        return 0; /* one that has gone may have said why */
    return fail_errno(err, "the server at '%s' cannot be told", enquiry->path);
}

static int left_ms(const struct enquiry *enquiry) {
    int64_t left = (enquiry->greeting_end_ns - clock_now_ns()) / 1000000;

    if (enquiry->greeted)
        return -1;
    return left > 0 ? (int)left + 1 : 0;
}

static int turn(struct enquiry *enquiry, struct theseus_error *err) {
    short wanted = (short)(POLLIN | (enquiry->output.len > 0 ? POLLOUT : 0));
    struct pollfd look = {.fd = enquiry->fd, .events = wanted};
    int count = poll(&look, 1, left_ms(enquiry));

    if (count < 0 && errno != EINTR)
        return fail_errno(err, "the server at '%s' cannot be waited for", enquiry->path);
    if (count == 0 && left_ms(enquiry) == 0)
        return fail(err, ERR_TIMEOUT, "the server at '%s' has not answered within %d s", enquiry->path,
                    GREETING_MS / 1000);
    if (count <= 0)
        return 0;
    if (look.revents & POLLOUT && send_bytes(enquiry, err) < 0)
        return -1;
    return look.revents & ~POLLOUT ? take_bytes(enquiry, err) : 0;
}

int enquiry_ask(const char *path, const char *directory, struct span request, json_t **ret_answer,
                struct theseus_error *err) {
    CLEANUP(enquiry_fini) struct enquiry enquiry = {.path = path, .fd = dial(path, err)};

    if (enquiry.fd < 0)
        return -1;
    enquiry.greeting_end_ns = clock_now_ns() + GREETING_MS * INT64_C(1000000);
    if (write_lines(&enquiry, directory, request, err) < 0)
        return -1;
    while (!enquiry.answer)
        if (turn(&enquiry, err) < 0)
            return -1;
    *ret_answer = TAKE_PTR(enquiry.answer);
    return 0;
}
