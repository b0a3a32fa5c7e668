#include "lines.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { READ_BYTES = 256 << 10, KEEP_BYTES = 8 << 20, PATIENCE_MS = 10000 };

void lines_fini_cleanup(struct lines *lines) {
    buf_fini(&lines->out);
    buf_fini(&lines->in);
}

static ssize_t put(const struct child *child, struct span bytes) {
    if (child->to == child->from)
        return send(child->to, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return write(child->to, bytes.data, bytes.len);
}

int lines_flush(struct lines *lines, struct theseus_error *err) {
    while (lines->out.len > 0) {
        ssize_t n = put(lines->child, buf_span(&lines->out));
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0)
            return fail_errno(err, "cannot write to the server");
        buf_consume(&lines->out, (size_t)n, KEEP_BYTES);
    }
    return 0;
}

static int take(struct lines *lines, struct theseus_error *err) {
    char *end = buf_reserve(&lines->in, READ_BYTES);

    if (!end)
        return fail(err, ERR_MEMORY, "no memory to read");
    ssize_t n = read(lines->child->from, end, READ_BYTES);
    if (n < 0)
        return fail_errno(err, "cannot read from the server");
    if (n == 0)
        return fail(err, ERR_SYSTEM, "the server closed its output");
    buf_added(&lines->in, (size_t)n);
    return 0;
}

static struct timespec span_of_ns(int64_t ns) {
    ns = ns < 0 ? 0 : ns;
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

int lines_wait(struct lines *lines, int64_t until_ns, struct theseus_error *err) {
    if (lines_flush(lines, err) < 0)
        return -1;
    if (lines->out.len == 0 && until_ns == 0)
        return take(lines, err); /* the alarm of main() bounds it */
    for (;;) {
        struct pollfd fds[] = {{.fd = lines->child->from, .events = POLLIN},
                               {.fd = lines->child->to, .events = lines->out.len ? POLLOUT : 0}};
        int64_t left = until_ns ? until_ns - clock_now_ns() : (int64_t)PATIENCE_MS * 1000000;
        struct timespec patience = span_of_ns(left);
        if (ppoll(fds, 2, &patience, NULL) < 0)
            return fail_errno(err, "cannot wait for the server");
        if (lines_flush(lines, err) < 0)
            return -1;
        if (fds[0].revents)
            return take(lines, err);
        if (until_ns && clock_now_ns() >= until_ns)
            return 0;
    }
}

bool lines_next(struct lines *lines, struct span *ret_line) {
    struct span all = buf_span(&lines->in);
    const char *end = all.len ? memchr(all.data, '\n', all.len) : NULL;

    if (!end)
        return false;
    *ret_line = (struct span){all.data, (size_t)(end - all.data)};
    buf_consume(&lines->in, ret_line->len + 1, KEEP_BYTES);
    return true;
}

int lines_ask(struct lines *lines, const char *request, struct span *ret_line, struct theseus_error *err) {
    if (buf_append(&lines->out, span_of(request), err) < 0)
        return -1;
    for (;;) {
        while (lines_next(lines, ret_line))
            if (memmem(ret_line->data, ret_line->len, "\"id\":0", 6))
                return 0;
        if (lines_wait(lines, 0, err) < 0)
            return -1;
    }
}

int lines_greet(struct lines *lines, struct theseus_error *err) {
    struct span answer;

    if (lines_ask(
            lines,
            "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\","
            "\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}\n",
            &answer, err) < 0)
        return -1;
    if (!memmem(answer.data, answer.len, "\"protocolVersion\"", 17))
        return fail(err, ERR_INVALID, "not the answer to initialize: %.*s", (int)answer.len, answer.data);
    return buf_append(&lines->out, span_of("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n"), err);
}

int lines_await_tool(struct lines *lines, const char *tool, struct theseus_error *err) {
    CLEANUP(free) char *wanted = xasprintf("\"name\":\"%s\"", tool);
    int64_t end = clock_now_ns() + (int64_t)PATIENCE_MS * 1000000;
    struct span answer;

    do {
        if (lines_ask(lines, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/list\"}\n", &answer, err) < 0)
            return -1;
        if (memmem(answer.data, answer.len, wanted, strlen(wanted)))
            return 0;
    } while (clock_now_ns() < end);
    return fail(err, ERR_TIMEOUT, "no tool '%s' within %d ms", tool, PATIENCE_MS);
}
