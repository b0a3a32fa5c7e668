#include "crowd.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/clock.h"
#include "lib/child.h"

enum {
    MS = 1000000,
    PATIENCE_MS = 20000,
    TICK_MS = 1, /* how often a server that is not there is looked for */
    EVENTS = 256,
    READ_BYTES = 64 << 10,
    LIST_ID = 2,  /* 1: initialize; 2: tools/list; all others are calls of `echo` */
    MOST_IDS = 64 /* on the way at a time, of one client */
};

enum member_state { MEMBER_AWAY, MEMBER_GREETING, MEMBER_OPEN };

struct member {
    int fd;             /* owned unless it is the child's; -1: none */
    struct child child; /* of one behind `theseus connect` */
    bool is_relay;
    enum member_state state;
    char session[64], secret[128];
    struct buf in;
    unsigned last_id;
    uint64_t open; /* a bit for each id that is not answered */
    uint64_t received, acknowledged;
    bool asks_again;   /* a call, when it is back */
    int64_t served_at; /* since when it has everything */
};

struct crowd {
    struct member *members;          /* owned; those behind `theseus connect` come first */
    unsigned relays, count, present; /* present: of them, so many have begun */
    char *socket;                    /* owned */
    int epoll;
    pid_t server;
    struct crowd_stats stats;
};

static void note_fault(struct crowd *crowd, const char *what, struct span line) {
    if (crowd->stats.faults++ == 0)
        (void)snprintf(crowd->stats.first_fault, sizeof(crowd->stats.first_fault), "%s: %.*s", what,
                       line.len < 180 ? (int)line.len : 180, line.data);
}

/* ---- saying something ---- */

/* What a socket that has ended does not take is asked for when it is back. */
static void say(const struct member *member, const char *text) {
    if (member->fd >= 0 && send(member->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        return;
}

static void say_call(const struct member *member, unsigned id) {
    char text[200];

    (void)snprintf(text, sizeof(text),
                   "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\","
                   "\"arguments\":{\"message\":\"m%u\"}}}\n",
                   id, id);
    say(member, text);
}

static unsigned open_id(struct crowd *crowd, struct member *member) {
    member->open |= UINT64_C(1) << (++member->last_id % MOST_IDS);
    crowd->stats.asked++;
    return member->last_id;
}

static void say_hello(struct member *member) {
    CLEANUP(free)
    char *text = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":\"theseus:1\",\"method\":\"theseus/hello\",\"params\":{"
                           "\"protocol\":1,\"version\":\"bench\",\"directory\":\"/\",\"pid\":%d}}\n",
                           (int)getpid());

    member->state = MEMBER_GREETING;
    say(member, text);
}

static json_t *open_ids_new(const struct member *member) {
    json_t *ids = json_array();
    unsigned first = member->last_id > MOST_IDS ? member->last_id - MOST_IDS + 1 : 1;

    for (unsigned id = first; id <= member->last_id; id++)
        if (member->open >> (id % MOST_IDS) & 1)
            json_array_append_new(ids, json_integer(id));
    return ids;
}

static void say_resume(struct member *member) {
    json_auto_t *message =
        json_pack("{s:s, s:s, s:s, s:{s:i, s:s, s:s, s:i, s:s, s:s, s:o, s:I}}", "jsonrpc", "2.0", "id", "theseus:2",
                  "method", "theseus/resume", "params", "protocol", 1, "version", "bench", "directory", "/", "pid",
                  (int)getpid(), "session", member->session, "secret", member->secret, "unanswered",
                  open_ids_new(member), "received", (json_int_t)member->received);
    CLEANUP(free) char *text = json_dumps(message, JSON_COMPACT);
    CLEANUP(free) char *line = xasprintf("%s\n", text ? text : "");

    member->state = MEMBER_GREETING;
    say(member, line);
}

static void acknowledge(struct crowd *crowd) {
    for (struct member *member = crowd->members; member < crowd->members + crowd->count; member++) {
        char text[120];
        if (member->is_relay || member->received == member->acknowledged)
            continue;
        (void)snprintf(text, sizeof(text),
                       "{\"jsonrpc\":\"2.0\",\"method\":\"theseus/ack\",\"params\":{\"received\":%llu}}\n",
                       (unsigned long long)member->received);
        say(member, text);
        member->acknowledged = member->received;
    }
}

/* ---- judging what comes ---- */

static const char *text_of(const json_t *result) {
    const json_t *item = json_array_get(json_object_get(result, "content"), 0);
    const char *text = json_string_value(json_object_get(item, "text"));

    return text ? text : "";
}

static bool is_right(unsigned id, const json_t *result) {
    char wanted[16];

    (void)snprintf(wanted, sizeof(wanted), "m%u", id);
    return id <= LIST_ID ? json_is_object(result) : strcmp(text_of(result), wanted) == 0;
}

/* In the words of the server, of a tool's result, or of `theseus connect`. */
static bool may_have_executed(const json_t *message) {
    const json_t *error = json_object_get(message, "error");
    const char *text = json_string_value(json_object_get(error, "message"));

    if (json_is_true(json_object_get(json_object_get(error, "data"), "may_have_executed")))
        return true;
    return strstr(text ? text : text_of(json_object_get(message, "result")), "may have executed");
}

static void take_answer(struct crowd *crowd, struct member *member, unsigned id, const json_t *message,
                        struct span line) {
    uint64_t bit = UINT64_C(1) << (id % MOST_IDS);

    member->received++;
    if (id == 0 || id > member->last_id || !(member->open & bit)) {
        note_fault(crowd, "an answer to nothing, or a second one", line);
        return;
    }
    member->open &= ~bit;
    crowd->stats.answered++;
    if (may_have_executed(message))
        crowd->stats.uncertain++;
    else if (!is_right(id, json_object_get(message, "result")))
        note_fault(crowd, "a wrong answer", line);
}

static void take_fate(struct crowd *crowd, struct member *member, const json_t *fate) {
    unsigned id = (unsigned)json_integer_value(json_object_get(fate, "id"));
    const char *text = json_string_value(json_object_get(fate, "fate"));

    if (text && strcmp(text, "never seen") == 0) {
        say_call(member, id);
    } else if (!text || strcmp(text, "uncertain") == 0) {
        member->open &= ~(UINT64_C(1) << (id % MOST_IDS));
        crowd->stats.answered++;
        crowd->stats.uncertain++;
    }
}

static void take_greeting(struct crowd *crowd, struct member *member, const json_t *message, struct span line) {
    const json_t *result = json_object_get(message, "result"), *fate;
    const char *secret = json_string_value(json_object_get(result, "secret"));
    size_t i;

    if (!result)
        note_fault(crowd, "a greeting is refused", line);
    crowd->server = (pid_t)json_integer_value(json_object_get(result, "pid"));
    member->state = MEMBER_OPEN;
    if (secret) {
        (void)snprintf(member->secret, sizeof(member->secret), "%s", secret);
        (void)snprintf(member->session, sizeof(member->session), "%s",
                       json_string_value(json_object_get(result, "session")));
    }
    json_array_foreach (json_object_get(result, "fates"), i, fate)
        take_fate(crowd, member, fate);
    if (member->asks_again)
        say_call(member, open_id(crowd, member));
    member->asks_again = false;
}

static void take_line(struct crowd *crowd, struct member *member, struct span line) {
    json_auto_t *message = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *id = json_object_get(message, "id");

    if (!message)
        note_fault(crowd, "no JSON", line);
    else if (json_is_string(id))
        take_greeting(crowd, member, message, line);
    else if (!json_object_get(message, "method"))
        take_answer(crowd, member, (unsigned)json_integer_value(id), message, line);
    if (member->state == MEMBER_OPEN && !member->open && !member->asks_again)
        member->served_at = clock_now_ns();
}

/* ---- reading ---- */

static void watch(const struct crowd *crowd, struct member *member) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};

    (void)epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, member->fd, &event);
}

static void lose(struct crowd *crowd, struct member *member) {
    if (member->is_relay) {
        note_fault(crowd, "a `theseus connect` has left", span_of(""));
        (void)epoll_ctl(crowd->epoll, EPOLL_CTL_DEL, member->fd, NULL);
        return;
    }
    (void)close(member->fd);
    member->fd = -1;
    member->state = MEMBER_AWAY;
    buf_fini(&member->in);
}

static void read_member(struct crowd *crowd, struct member *member) {
    char *end = buf_reserve(&member->in, READ_BYTES);
    ssize_t n = end ? recv(member->fd, end, READ_BYTES, MSG_DONTWAIT) : 0;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        lose(crowd, member);
        return;
    }
    buf_added(&member->in, (size_t)n);
    for (;;) {
        struct span all = buf_span(&member->in);
        const char *newline = all.len ? memchr(all.data, '\n', all.len) : NULL;
        if (!newline)
            break;
        take_line(crowd, member, (struct span){all.data, (size_t)(newline - all.data)});
        buf_consume(&member->in, (size_t)(newline - all.data) + 1, 0);
    }
}

static bool has_everything(const struct member *member) {
    return member->state == MEMBER_OPEN && !member->open && !member->asks_again;
}

static unsigned count_waiting(const struct crowd *crowd) {
    unsigned count = 0;

    for (unsigned i = 0; i < crowd->present; i++)
        count += !has_everything(&crowd->members[i]);
    return count;
}

static void turn(struct crowd *crowd, int timeout_ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(crowd->epoll, events, EVENTS, timeout_ms);

    for (int i = 0; i < count; i++)
        read_member(crowd, events[i].data.ptr);
}

/* ---- connecting ---- */

/* False: nobody is there, or cannot take one more at present. */
static bool dial(struct crowd *crowd, struct member *member) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", crowd->socket);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return false;
    member->fd = fd_take(&fd);
    watch(crowd, member);
    if (member->session[0])
        say_resume(member);
    else
        say_hello(member);
    return true;
}

/* All that are away, as far as somebody listens. */
static void dial_all(struct crowd *crowd) {
    for (unsigned i = crowd->relays; i < crowd->present; i++)
        if (crowd->members[i].fd < 0 && !dial(crowd, &crowd->members[i]))
            return;
}

int crowd_await(struct crowd *crowd, struct theseus_error *err) {
    int64_t end = clock_now_ns() + (int64_t)PATIENCE_MS * MS;
    unsigned waiting;

    while ((waiting = count_waiting(crowd)) > 0) {
        if (clock_now_ns() > end)
            return fail(err, ERR_TIMEOUT, "%u of %u clients wait for more than %d ms; %s", waiting, crowd->present,
                        PATIENCE_MS, crowd->stats.first_fault);
        dial_all(crowd);
        turn(crowd, TICK_MS);
    }
    acknowledge(crowd);
    return 0;
}

static void shake_hands(struct crowd *crowd, struct member *member) {
    say(member,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\","
        "\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}\n"
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}\n");
    (void)open_id(crowd, member);
    (void)open_id(crowd, member);
    say_call(member, open_id(crowd, member));
}

int crowd_start_relays(struct crowd *crowd, char *const argv[], struct theseus_error *err) {
    for (struct member *member = crowd->members; member < crowd->members + crowd->relays; member++) {
        if (child_start(&member->child, argv, true, err) < 0)
            return -1;
        member->fd = member->child.to;
        member->state = MEMBER_OPEN;
        crowd->present++;
        watch(crowd, member);
        shake_hands(crowd, member);
    }
    return crowd_await(crowd, err);
}

int crowd_connect(struct crowd *crowd, unsigned more, struct theseus_error *err) {
    unsigned before = crowd->present;

    crowd->present += more;
    assert(crowd->present <= crowd->count);
    if (crowd_await(crowd, err) < 0)
        return -1;
    for (unsigned i = before; i < crowd->present; i++)
        shake_hands(crowd, &crowd->members[i]);
    return crowd_await(crowd, err);
}

int crowd_stop_relays(struct crowd *crowd, struct theseus_error *err) {
    for (struct member *member = crowd->members; member < crowd->members + crowd->relays; member++) {
        (void)epoll_ctl(crowd->epoll, EPOLL_CTL_DEL, member->fd, NULL);
        if (child_stop(&member->child, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- asking ---- */

void crowd_call(struct crowd *crowd) {
    for (unsigned i = 0; i < crowd->present; i++)
        say_call(&crowd->members[i], open_id(crowd, &crowd->members[i]));
}

int crowd_come_back(struct crowd *crowd, int64_t since, struct samples *relays, struct samples *sockets,
                    struct theseus_error *err) {
    for (unsigned i = 0; i < crowd->present; i++) {
        struct member *member = &crowd->members[i];
        if (member->is_relay)
            say_call(member, open_id(crowd, member));
        else
            member->asks_again = true;
    }
    if (crowd_await(crowd, err) < 0)
        return -1;
    for (unsigned i = 0; i < crowd->present; i++) {
        struct samples *samples = crowd->members[i].is_relay ? relays : sockets;
        samples->ns[samples->count++] = crowd->members[i].served_at - since;
    }
    return 0;
}

pid_t crowd_server(const struct crowd *crowd) {
    return crowd->server;
}

struct crowd_stats crowd_stats(const struct crowd *crowd) {
    return crowd->stats;
}

/* ---- life ---- */

struct crowd *crowd_new(const char *socket, unsigned relays, unsigned sockets) {
    struct crowd *crowd = xcalloc(1, sizeof(*crowd));

    crowd->relays = relays;
    crowd->count = relays + sockets;
    crowd->members = xcalloc(crowd->count, sizeof(struct member));
    crowd->socket = xstrdup(socket);
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < crowd->count; i++) {
        crowd->members[i].fd = -1;
        crowd->members[i].is_relay = i < relays;
    }
    return crowd;
}

struct crowd *crowd_free(struct crowd *crowd) {
    if (!crowd)
        return NULL;
    for (struct member *member = crowd->members; member < crowd->members + crowd->count; member++) {
        if (member->is_relay)
            child_fini_cleanup(&member->child);
        else if (member->fd >= 0)
            (void)close(member->fd);
        buf_fini(&member->in);
    }
    (void)close(crowd->epoll);
    free(crowd->members);
    free(crowd->socket);
    free(crowd);
    return NULL;
}
