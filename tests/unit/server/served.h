/* A server and its client in one thread; the server can be thrown away and made again from its ledger at any time. */
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/fixture.h"
#include "rpc/jsontext.h"
#include "server/server.h"

enum { SERVED_SECONDS = 60 };

/* A test takes no arguments. One that is executed in place of the server, to load a plugin or to be examined, would run
 * its tests, and these would execute it again, without end. */
__attribute__((constructor)) static void served_is_no_server(int argc, char **argv) {
    if (argc > 1 && strncmp(argv[1], "--", 2) == 0)
        _exit(70);
}

#define META                                                                 \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"," \
    "\"io.modelcontextprotocol/clientCapabilities\":{}}"

struct served {
    char *place, *plugins, *program, *ini; /* owned */
    const char *text;                      /* of the configuration, behind what every test has */
    char *config;                          /* owned: all of it */
    struct ledger *ledger;
    struct server *server;
    int theirs, mine;
    struct buf got;
    int images;   /* how many servers there were */
    bool threads; /* a thread of a plugin's own may be at work on a call */
};

static inline void served_start(struct served *served) {
    const struct server_args args = {
        .source = {.path = served->ini, .text = span_of(served->config)},
        .in = served->theirs,
        .out = served->theirs,
        .transport = "stdio",
        .program = served->program,
    };
    struct theseus_error err = {0};
    struct config *config = NULL;

    loop_enter();
    int r = config_load(&config, &args.source, NULL, NULL, &err);
    if (r == 0)
        r = server_new(&served->server, &args, config, served->ledger, &err);
    if (r < 0)
        print_error("%s\n", err.message);
    assert_int_equal(r, 0);
    served->images++;
}

/* Workers are waited for by the server itself; a thread of a plugin's own would find that it has gone. */
static inline void served_restart(struct served *served) {
    loop_enter();
    while (served->threads && server_is_stuck(served->server))
        (void)server_turn(served->server, 5);
    served->server = server_free(served->server);
    served_start(served);
}

/* Puts a fixture into the plugin directory as a build does: under another name first. */
static inline void served_drop_in(struct served *served, const char *name, const char *as) {
    CLEANUP(buf_fini) struct buf bytes = fixture_bytes(name);
    CLEANUP(free) char *to = xasprintf("%s/%s.so", served->plugins, as);
    CLEANUP(free) char *draft = xasprintf("%s.new", to);

    write_bytes(draft, buf_span(&bytes).data, bytes.len);
    assert_int_equal(rename(draft, to), 0);
}

static inline void served_take_away(struct served *served, const char *name) {
    CLEANUP(free) char *path = xasprintf("%s/%s.so", served->plugins, name);

    assert_int_equal(unlink(path), 0);
}

/* `fixtures` ends with NULL. */
static inline struct served *served_new(const char *const *fixtures) {
    struct served *served = xcalloc(1, sizeof(*served));
    int pair[2];

    served->place = place_new();
    served->plugins = path_join(served->place, "plugins");
    served->ini = path_join(served->place, "theseus.ini");
    served->program = fixture_program();
    served->config = xasprintf("[server]\nstate_dir = %s/state\nruntime_dir = %s/run\nlog_level = error\n"
                               "[plugins]\npath = %s\nsettle_ms = 10\n",
                               served->place, served->place, served->plugins);
    assert_int_equal(mkdir(served->plugins, 0700), 0);
    for (; *fixtures; fixtures++)
        served_drop_in(served, *fixtures, *fixtures);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    served->theirs = pair[0];
    served->mine = pair[1];
    served->ledger = ledger_new();
    served_start(served);
    return served;
}

static inline void served_free_cleanup(struct served **held) {
    struct served *served = *held;

    loop_enter();
    served->server = server_free(served->server);
    served->ledger = ledger_free(served->ledger);
    log_close();
    (void)close(served->theirs);
    (void)close(served->mine);
    buf_fini(&served->got);
    place_fini_cleanup(&served->place);
    free(served->plugins);
    free(served->program);
    free(served->ini);
    free(served->config);
    free(served);
}

static inline void served_send(struct served *served, const char *line) {
    size_t len = strlen(line);

    served->threads |= strstr(line, "slow_later") != NULL;
    assert_int_equal(write(served->mine, line, len), len);
    assert_int_equal(write(served->mine, "\n", 1), 1);
}

static inline void served_turn(struct served *served) {
    char bytes[65536];

    loop_enter();
    (void)server_turn(served->server, 5);
    ssize_t n = recv(served->mine, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0)
        assert_int_equal(buf_append(&served->got, (struct span){bytes, (size_t)n}, NULL), 0);
}

/* The next line that comes; a new reference. */
static inline json_t *served_next_new(struct served *served) {
    int64_t end = clock_now_ns() + (int64_t)SERVED_SECONDS * 1000000000;
    const char *newline = NULL;

    for (;;) {
        struct span got = buf_span(&served->got);
        newline = got.len ? memchr(got.data, '\n', got.len) : NULL;
        if (newline)
            break;
        assert_true(clock_now_ns() < end);
        served_turn(served);
    }
    struct span got = buf_span(&served->got);
    json_t *line = jsontext_read((struct span){got.data, (size_t)(newline - got.data)}, NULL);
    assert_non_null(line);
    buf_consume(&served->got, (size_t)(newline - got.data) + 1, 65536);
    return line;
}

/* Compares what is asked about: every member of `expected` must be there, also inside of objects and arrays. */
static inline bool served_matches(const json_t *got, const json_t *expected) {
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_object(expected)) {
        json_object_foreach ((json_t *)expected, key, value)
            if (!served_matches(json_object_get(got, key), value))
                return false;
        return json_is_object(got);
    }
    if (!json_is_array(expected))
        return json_equal(got, expected);
    json_array_foreach (expected, i, value)
        if (!served_matches(json_array_get(got, i), value))
            return false;
    return json_array_size(got) == json_array_size(expected);
}

static inline void served_gets(struct served *served, const char *expected) {
    json_auto_t *line = served_next_new(served);
    json_auto_t *wanted = json_loads(expected, 0, NULL);

    assert_non_null(wanted);
    if (!served_matches(line, wanted)) {
        CLEANUP(free) char *text = json_dumps(line, JSON_COMPACT);
        print_error("image %d: got %s\nnot %s\n", served->images, text, expected);
    }
    assert_true(served_matches(line, wanted));
}
