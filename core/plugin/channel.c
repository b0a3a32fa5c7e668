#include "plugin/channel.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/utf8.h"
#include "rpc/jsontext.h"

enum { HEAD = sizeof(uint32_t), CHUNK = 64 << 10, KEEP = 2 * CHUNK };

/* ---- life ---- */

struct channel *channel_new(int fd) {
    struct channel *channel = xcalloc(1, sizeof(*channel));

    channel->fd = fd;
    list_init(&channel->link);
    return channel;
}

struct channel *channel_free(struct channel *channel) {
    if (!channel)
        return NULL;
    if (channel->fd >= 0)
        (void)close(channel->fd);
    buf_fini(&channel->in);
    buf_fini(&channel->out);
    free(channel);
    return NULL;
}

int channel_pair(struct channel **ret_channel, int *ret_other, struct theseus_error *err) {
    const struct timeval patience = {.tv_usec = CHANNEL_PATIENCE_MS * 1000};
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return fail_errno(err, "cannot make a socket pair");
    (void)setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    *ret_channel = channel_new(fds[0]);
    *ret_other = fds[1];
    return 0;
}

/* ---- bytes ---- */

static bool is_patience_over(const struct channel_user *user) {
    return user->gives_up && user->gives_up(user->arg);
}

/* What became of a read or write that failed; 0: it is to be tried again. */
static int after_failure(const struct channel_user *user, struct theseus_error *err) {
    if (errno == EAGAIN || errno == EINTR)
        return is_patience_over(user) ? CHANNEL_GIVEN_UP : 0;
    if (errno == EPIPE || errno == ECONNRESET)
        return CHANNEL_ENDED;
    return fail_errno(err, "the channel to the other process failed");
}

static int send_all(struct channel *channel, struct span bytes, const struct channel_user *user,
                    struct theseus_error *err) {
    int r = 0;

    while (bytes.len > 0 && r == 0) {
        ssize_t n = send(channel->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n < 0)
            r = after_failure(user, err);
        else
            bytes = (struct span){bytes.data + n, bytes.len - (size_t)n};
    }
    return r;
}

static int receive_some(struct channel *channel, const struct channel_user *user, struct theseus_error *err) {
    char *room = buf_reserve(&channel->in, CHUNK);

    if (!room)
        return fail(err, ERR_MEMORY, "no memory for a message of the other process");
    for (;;) {
        ssize_t n = recv(channel->fd, room, CHUNK, 0);
        if (n > 0) {
            buf_added(&channel->in, (size_t)n);
            return 0;
        }
        int r = n == 0 ? CHANNEL_ENDED : after_failure(user, err);
        if (r != 0)
            return r;
    }
}

/* ---- messages ---- */

/* Appends the message; after a failure `out` has what it had before. */
static int write_message(struct buf *out, const json_t *message, struct theseus_error *err) {
    const size_t before = out->len;
    uint32_t len = 0;
    int r = buf_append(out, (struct span){(const char *)&len, HEAD}, err);

    if (r == 0)
        r = jsontext_write(message, out, err);
    size_t written = out->len - before - HEAD;
    if (r == 0 && written > CHANNEL_MESSAGE_MAX)
        r = fail(err, ERR_LIMIT, "a message of %zu bytes is too long for the other process", written);
    if (r < 0) {
        out->len = before;
        return -1;
    }
    len = (uint32_t)written;
    memcpy(out->data + out->start + before, &len, HEAD);
    return 0;
}

static void forget_sent(struct channel *channel) {
    buf_consume(&channel->out, channel->out.len, KEEP);
}

static int send_message(struct channel *channel, json_t *message, const struct channel_user *user,
                        struct theseus_error *err) {
    json_auto_t *owned = message;

    if (write_message(&channel->out, owned, err) < 0)
        return CHANNEL_REFUSED;
    int r = send_all(channel, buf_span(&channel->out), user, err);
    forget_sent(channel);
    return r;
}

/* Is there a whole message at the front? */
static int peek(const struct channel *channel, struct span *ret_text, struct theseus_error *err) {
    struct span in = buf_span(&channel->in);
    uint32_t len;

    if (in.len < HEAD)
        return 0;
    memcpy(&len, in.data, HEAD);
    if (len == 0 || len > CHANNEL_MESSAGE_MAX)
        return fail(err, ERR_LIMIT, "the other process announces a message of %u bytes", len);
    if (in.len - HEAD < len)
        return 0;
    *ret_text = (struct span){in.data + HEAD, len};
    return 1;
}

/* The text at the front. */
static int parse(struct channel *channel, struct span text, json_t **ret_message, struct theseus_error *err) {
    json_t *message = jsontext_read(text, err);
    if (!message)
        return error_prefix(err, "the other process sent what is no JSON: ");
    buf_consume(&channel->in, HEAD + text.len, KEEP);
    if (!json_is_object(message)) {
        json_decref(message);
        return fail(err, ERR_INVALID, "the other process sent JSON that is no message");
    }
    *ret_message = message;
    return 0;
}

static int receive(struct channel *channel, const struct channel_user *user, json_t **ret_message,
                   struct theseus_error *err) {
    struct span text;
    int r;

    while ((r = peek(channel, &text, err)) == 0)
        if ((r = receive_some(channel, user, err)) != 0)
            return r;
    return r < 0 ? -1 : parse(channel, text, ret_message, err);
}

/* ---- questions ---- */

int channel_serve_one(struct channel *channel, const struct channel_user *user, const json_t *message,
                      struct theseus_error *err) {
    const char *asked = channel_text(message, "ask"), *told = channel_text(message, "tell");

    if (!asked && !told)
        return fail(err, ERR_INVALID, "the other process sent a message that neither asks nor tells");
    json_t *answer = user->serve(user->arg, channel, asked ? asked : told, message);
    struct theseus_error unsent = {0};
    if (!asked) {
        json_decref(answer);
        return 0;
    }
    int r = send_message(channel, answer ? answer : channel_error_new("is not known here"), user, &unsent);
    if (r == CHANNEL_REFUSED)
        return send_message(channel, channel_error_new(unsent.message), user, err);
    if (r < 0 && err)
        *err = unsent;
    return r;
}

static int take_answer(const json_t *message, json_t **ret_answer, struct theseus_error *err) {
    const char *refusal = channel_text(message, "error");
    json_t *answer = json_object_get(message, "answer");

    if (refusal) {
        (void)fail(err, ERR_INVALID, "%s", refusal);
        return CHANNEL_REFUSED;
    }
    *ret_answer = json_is_null(answer) ? NULL : json_incref(answer);
    return 0;
}

bool channel_is_answer(const json_t *message) {
    return json_object_get(message, "answer") || channel_text(message, "error");
}

int channel_ask(struct channel *channel, json_t *question, const struct channel_user *user, json_t **ret_answer,
                struct theseus_error *err) {
    int r = send_message(channel, question, user, err);

    while (r == 0) {
        json_auto_t *message = NULL;
        r = receive(channel, user, &message, err);
        if (r == 0 && channel_is_answer(message))
            return take_answer(message, ret_answer, err);
        if (r == 0)
            r = channel_serve_one(channel, user, message, err);
    }
    return r;
}

int channel_tell(struct channel *channel, json_t *message, const struct channel_user *user, struct theseus_error *err) {
    return send_message(channel, message, user, err);
}

int channel_hold(struct channel *channel, json_t *message, struct theseus_error *err) {
    json_auto_t *owned = message;

    return write_message(&channel->out, owned, err) < 0 ? CHANNEL_REFUSED : 0;
}

int channel_serve(struct channel *channel, const struct channel_user *user, struct theseus_error *err) {
    int r = 0;

    while (r == 0) {
        json_auto_t *message = NULL;
        r = receive(channel, user, &message, err);
        if (r == 0)
            r = channel_serve_one(channel, user, message, err);
    }
    return r < 0 ? -1 : 0;
}

/* ---- without waiting ---- */

int channel_fd(const struct channel *channel) {
    return channel->fd;
}

int channel_send_now(struct channel *channel, json_t *message, size_t longest) {
    json_auto_t *owned = message;
    ssize_t sent = -1;

    if (write_message(&channel->out, owned, NULL) < 0)
        return -1;
    struct span bytes = buf_span(&channel->out);
    if (bytes.len <= longest)
        sent = send(channel->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    bool all = sent == (ssize_t)bytes.len;
    forget_sent(channel);
    return all ? 0 : -1;
}

/* A read that had room for more has taken all there was; whoever polls hears of what comes later. */
static int receive_some_now(struct channel *channel, struct theseus_error *err) {
    char *room = channel->drained ? NULL : buf_reserve(&channel->in, CHUNK);

    if (channel->drained) {
        channel->drained = false;
        return CHANNEL_NOTHING;
    }
    if (!room)
        return fail(err, ERR_MEMORY, "no memory for a message of the other process");
    ssize_t n = recv(channel->fd, room, CHUNK, MSG_DONTWAIT);
    if (n > 0)
        buf_added(&channel->in, (size_t)n);
    channel->drained = n > 0 && n < CHUNK;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return CHANNEL_NOTHING;
    return n > 0 ? 0 : CHANNEL_ENDED;
}

int channel_receive_now(struct channel *channel, json_t **ret_message, struct theseus_error *err) {
    struct span text;
    int r;

    while ((r = peek(channel, &text, err)) == 0)
        if ((r = receive_some_now(channel, err)) != 0)
            return r;
    return r < 0 ? -1 : parse(channel, text, ret_message, err);
}

int channel_serve_now(struct channel *channel, const struct channel_user *user, const json_t *message) {
    const char *asked = channel_text(message, "ask"), *told = channel_text(message, "tell");

    if (!asked && !told)
        return -1;
    json_t *answer = user->serve(user->arg, channel, asked ? asked : told, message);
    if (asked)
        return channel_send_now(channel, answer ? answer : channel_error_new("is not known here"), SIZE_MAX);
    json_decref(answer);
    return 0;
}

/* ---- what messages are made of ---- */

json_t *channel_answer_new(json_t *value) {
    return json_pack("{s:o}", "answer", value ? value : json_null());
}

json_t *channel_error_new(const char *text) {
    return json_pack("{s:o}", "error", channel_text_new(text));
}

json_t *channel_text_new(const char *text) {
    size_t len;
    json_t *string = json_string(text);

    if (string)
        return string;
    CLEANUP(free) char *clean = utf8_clean(span_of(text ? text : ""), &len);
    return clean ? json_stringn(clean, len) : NULL;
}

const char *channel_text(const json_t *message, const char *key) {
    return json_string_value(json_object_get(message, key));
}
