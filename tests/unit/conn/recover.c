/*
 * A ledger that something has written to, under a connection that is at work: an image comes up with what is left. The
 * connection goes on; what is intact is answered exactly once.
 */
#include "test.h"

#include "base/log.h"
#include "conn/client.h"
#include "ledger/inner.h"

enum { IDS = 10, PING = 9, LOG_BYTES_MOST = 64 << 10 };

/* The file of a ledger as it was when its image ended, and what the connection had then. */
struct scene {
    struct client *client; /* owned */
    char *file;            /* owned: front and log */
    size_t bytes, log;     /* of the file; of the log in it */
    bool echo;             /* else it is forgotten */
};

typedef void damage_fn(void *arg, char *file);

static void settle(struct client *client) {
    client_settle(client);
}

/* Requests in every stage: read by the client, written in part, waiting to be written, running, held, half read. */
static void play(struct client *client) {
    client->config->limits.max_in_flight = 3;
    client_open(client);
    client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\"}\n");
    client_asks(client, "1", "now");
    settle(client);
    (void)client_take(client, SIZE_MAX);
    client_asks(client, "2", "hold");
    client_asks(client, "3", "late");
    settle(client);
    client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"big\",\"params\":{\"len\":6000}}\n");
    settle(client);
    client_asks(client, "5", "now");
    client_asks(client, "6", "hold");
    settle(client);
    client_asks(client, "7", "now"); /* held: there are as many at work as may be */
    client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":8,\"me");
    settle(client);
}

static void keep_file(struct scene *scene) {
    struct journal *journal = &scene->client->ledger->journal;

    assert_int_equal(journal->last, 1);
    scene->log = journal->offset;
    scene->bytes = FORMAT_FRONT + scene->log;
    scene->file = xcalloc(1, scene->bytes);
    assert_int_equal(pread(ledger_fd(scene->client->ledger), scene->file, scene->bytes, 0), scene->bytes);
}

/* The next image: its ledger is the file with the damage. */
static void come_back(struct scene *scene, damage_fn *damage, void *arg) {
    struct client *client = scene->client;
    int in = client->conn->in.fd, out = client->conn->out.fd, kept[2] = {dup(in), dup(out)};
    int fd = dup(ledger_fd(client->ledger));
    struct theseus_error err = {0};

    loop_enter();
    client->conn = conn_free(client->conn);
    client_forget_calls(client);
    client->ledger = ledger_free(client->ledger);
    assert_true(dup2(kept[0], in) >= 0 && dup2(kept[1], out) >= 0);
    (void)close(kept[0]);
    (void)close(kept[1]);
    if (!scene->echo)
        memset(scene->file + sizeof(struct format_head), 0, ECHO_BYTES);
    damage(arg, scene->file);
    assert_int_equal(pwrite(fd, scene->file, scene->bytes, 0), scene->bytes);
    if (ledger_open(&client->ledger, fd, &err) < 0)
        assert_int_equal(ledger_create_damaged(&client->ledger, fd, &err), 0);
    client->host.ledger = client->ledger;
    if (conn_restore(&client->conn, &client->host, 1, -1, -1, &err) < 0)
        print_error("%s\n", err.message);
    assert_non_null(client->conn);
    conn_start(client->conn);
}

/* Whole lines only: one that was torn is none. */
static void count_lines(struct client *client, int *counts) {
    struct span got = buf_span(&client->got);
    const char *end;

    while (got.len && (end = memchr(got.data, '\n', got.len))) {
        size_t len = (size_t)(end - got.data) + 1;
        json_auto_t *line = json_loadb(got.data, len, 0, NULL);
        const json_t *id = json_object_get(line, "id");
        if (json_is_integer(id) && json_integer_value(id) < IDS)
            counts[json_integer_value(id)]++;
        got = (struct span){got.data + len, got.len - len};
        buf_consume(&client->got, len, 65536);
    }
}

/* What the client gets from here on, until everything was answered that will be. */
static void finish(struct scene *scene, int *counts) {
    struct client *client = scene->client;

    client_send(client, "thod\":\"now\"}\n");
    client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}\n");
    for (int quiet = 0; quiet < 3; quiet++) {
        client_settle(client);
        if (client_take(client, SIZE_MAX) + client->hold_count + client->late_count > 0)
            quiet = 0;
        client_let_go(client);
        client_flush(client);
    }
    count_lines(client, counts);
}

static void scene_fini_cleanup(struct scene *scene) {
    client_fini_cleanup(&scene->client);
    free(scene->file);
}

static void scene_begin(struct scene *scene, bool echo) {
    *scene = (struct scene){.client = client_on_pipes(), .echo = echo};
    assert_true(dup2(scene->client->server_in, STDIN_FILENO) >= 0); /* as a host gives it */
    play(scene->client);
    keep_file(scene);
}

/* ---- records ---- */

/* Which request's answer may be missing when this place of the log is damaged: bits. */
static unsigned may_miss(const struct scene *scene, size_t at) {
    const char *log = scene->file + FORMAT_FRONT;
    unsigned ids = 0;

    for (size_t offset = 0; offset < scene->log;) {
        const struct format_batch *batch = (const void *)(log + offset);
        size_t end = offset + sizeof(*batch) + batch->len;
        for (size_t place = offset + sizeof(*batch); place < end;) {
            const struct format_record *record = (const void *)(log + place);
            size_t bytes = format_record_bytes(record);
            struct span text = format_payload(record);
            uint16_t kind = format_kind(record);
            if (at >= place && at < place + bytes && (kind == request_kind.number || kind == input_kind.number))
                for (unsigned id = 0; id < IDS; id++) {
                    CLEANUP(free) char *name = xasprintf("\"id\":%u", id);
                    if (text.len && memmem(text.data, text.len, name, strlen(name)))
                        ids |= 1u << id;
                }
            place += bytes;
        }
        offset = end;
    }
    return ids;
}

struct flip {
    size_t at, len;
    unsigned char with;
};

static void flip(void *arg, char *file) {
    const struct flip *flip = arg;

    for (size_t i = 0; i < flip->len; i++)
        file[flip->at + i] = (char)(file[flip->at + i] ^ flip->with);
}

static void assert_goes_on(size_t at, const int *counts, unsigned missing) {
    for (int id = 0; id < IDS; id++) {
        bool had = id < 2; /* the client has had that answer before */
        bool fine = counts[id] == 1 || (counts[id] == 0 && !had && (missing & 1u << id));
        if (!fine)
            print_error("byte %zu: request %d is answered %d times\n", at, id, counts[id]);
        assert_true(fine);
    }
}

static void damage_a_byte(size_t at, unsigned char with, bool echo, bool exact) {
    CLEANUP(scene_fini) struct scene scene;
    int counts[IDS] = {0};

    scene_begin(&scene, echo);
    unsigned missing = exact ? 0 : may_miss(&scene, at);
    struct flip change = {FORMAT_FRONT + at, 1, with};
    come_back(&scene, flip, &change);
    finish(&scene, counts);
    assert_goes_on(at, counts, missing & ~(1u << PING));
}

static size_t log_of_the_scene(void) {
    CLEANUP(scene_fini) struct scene scene;

    scene_begin(&scene, true);
    return scene.log;
}

static void answers_everything_once_whichever_byte_of_the_log_was_changed(void **state) {
    size_t log = log_of_the_scene();

    (void)state;
    for (size_t at = 0; at < log; at += 7)
        damage_a_byte(at, 0x40, true, true);
}

static void answers_once_what_is_intact_where_there_is_no_echo(void **state) {
    size_t log = log_of_the_scene();

    (void)state;
    for (size_t at = 0; at < log; at += at < 3200 || at > 9100 ? 1 : 37)
        damage_a_byte(at, 0x11, false, false);
}

/* Anything anywhere, the head and the echo included: nothing is certain but that the client is still served. */
struct wild {
    struct scene *scene;
    unsigned seed;
};

static void write_wildly(void *arg, char *file) {
    struct wild *wild = arg;
    size_t bytes = wild->scene->bytes;
    int writes = 1 + rand_r(&wild->seed) % 4;

    for (int i = 0; i < writes; i++) {
        bool front = rand_r(&wild->seed) % 3 == 0;
        size_t at = front ? (size_t)rand_r(&wild->seed) % FORMAT_FRONT
                          : FORMAT_FRONT + (size_t)rand_r(&wild->seed) % wild->scene->log;
        size_t len = 1 + (size_t)rand_r(&wild->seed) % (1u << rand_r(&wild->seed) % 13);
        unsigned char with = (unsigned char)rand_r(&wild->seed);
        for (size_t k = at; k < at + len && k < bytes; k++)
            file[k] = (char)(with & 1 ? rand_r(&wild->seed) : with);
    }
}

static void goes_on_whatever_was_written_where(void **state) {
    enum { RUNS = 1500 };

    (void)state;
    for (unsigned seed = 0; seed < RUNS; seed++) {
        CLEANUP(scene_fini) struct scene scene;
        int counts[IDS] = {0};
        scene_begin(&scene, seed % 2);
        struct wild wild = {&scene, seed};
        come_back(&scene, write_wildly, &wild);
        client_send(scene.client, "\n"); /* what is left of the line may be nothing but its end */
        finish(&scene, counts);
        if (counts[PING] != 1)
            print_error("seed %u: the ping is answered %d times\n", seed, counts[PING]);
        assert_int_equal(counts[PING], 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_everything_once_whichever_byte_of_the_log_was_changed),
        cmocka_unit_test(answers_once_what_is_intact_where_there_is_no_echo),
        cmocka_unit_test(goes_on_whatever_was_written_where),
    };
    log_set_level(LOG_ERROR + 1);
    (void)close_range(3, ~0u, 0); /* what a caller has left open might be taken for the client's */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
