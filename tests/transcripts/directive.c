/* The lines that begin with `@`. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "names.h"
#include "player_inner.h"

enum { STUCK_MS = 200 };

static int set_number(const char *text, int *ret_number, struct theseus_error *err) {
    char *end;
    long number = strtol(text, &end, 10);

    if (end == text || *end != '\0' || number < 0 || number > 100000000)
        return fail(err, ERR_INVALID, "'%s' is no number", text);
    *ret_number = (int)number;
    return 0;
}

static int add_to(struct document *document, const char *text, struct theseus_error *err) {
    document->changed = true;
    if (*text == '\0') {
        buf_fini(&document->text); /* begins anew */
        return 0;
    }
    return buf_printf(&document->text, err, "%s\n", text);
}

static int run_config(struct player *player, const char *text, struct theseus_error *err) {
    return add_to(&player->config, text, err);
}

static int run_tools(struct player *player, const char *text, struct theseus_error *err) {
    return add_to(&player->tools, text, err);
}

static int run_input(struct player *player, const char *text, struct theseus_error *err) {
    return add_to(&player->input, text, err);
}

static int run_from(struct player *player, const char *text, struct theseus_error *err) {
    CLEANUP(free) char *path = NULL;

    return names_expand(player->names, text, &path, err) < 0 ? -1 : player_start_from(player, path, err);
}

static int run_plugin(struct player *player, const char *text, struct theseus_error *err) {
    CLEANUP(free) char *name = xstrndup(text, strcspn(text, " "));
    const char *file = script_behind(text + strlen(name) + strspn(text + strlen(name), " "), "as");

    if (player_flush(player, err) < 0)
        return -1;
    return sandbox_plug(player->sandbox, name, file ? file : name, err);
}

static int run_unplug(struct player *player, const char *text, struct theseus_error *err) {
    return player_flush(player, err) < 0 ? -1 : sandbox_unplug(player->sandbox, text, err);
}

static int run_let(struct player *player, const char *text, struct theseus_error *err) {
    CLEANUP(free) char *name = xstrndup(text, strcspn(text, " "));
    const char *value = script_behind(text, name);

    if (json_object_set_new(player->names, name, json_string(value)) < 0)
        return fail(err, ERR_INVALID, "'%s' cannot be named", value);
    return 0;
}

static int run_repeat(struct player *player, const char *text, struct theseus_error *err) {
    int times = 0;

    if (set_number(text, &times, err) < 0)
        return -1;
    player->repeat = (size_t)times;
    return 0;
}

static int run_within(struct player *player, const char *text, struct theseus_error *err) {
    return set_number(text, &player->within_ms, err);
}

static int run_ordered(struct player *player, const char *text, struct theseus_error *err) {
    (void)text;
    (void)err;
    player->group.ordered = true;
    return 0;
}

static int run_start(struct player *player, const char *text, struct theseus_error *err) {
    (void)text;
    return player_start(player, err);
}

static int run_close(struct player *player, const char *text, struct theseus_error *err) {
    (void)text;
    if (player_start(player, err) < 0 || player_flush(player, err) < 0)
        return -1;
    peer_close_in(player->peer);
    return 0;
}

static int run_exit(struct player *player, const char *text, struct theseus_error *err) {
    if (sscanf(text, "%d within %d", &player->exit_status, &player->exit_ms) != 2)
        return fail(err, ERR_INVALID, "it is: @ exit STATUS within MILLISECONDS");
    return 0;
}

static int run_stderr(struct player *player, const char *text, struct theseus_error *err) {
    CLEANUP(free) char *expanded = NULL;

    if (names_expand(player->names, text, &expanded, err) < 0)
        return -1;
    return json_array_append_new(player->allowed_errors, json_string(expanded)) == 0 ? 0 : -1;
}

static int run_deaf(struct player *player, const char *text, struct theseus_error *err) {
    (void)text;
    if (player_start(player, err) < 0)
        return -1;
    player->wire.deaf = true;
    return 0;
}

/* Before a deaf client hears again, the server is given what it takes: until nothing moves for a while. */
static int push_until_stuck(struct player *player, struct theseus_error *err) {
    int64_t last = clock_now_ns();
    size_t left = player->wire.out.len;

    while (left > 0 && clock_now_ns() - last < (int64_t)STUCK_MS * 1000000) {
        if (wire_pump(&player->wire, STUCK_MS, err) < 0)
            return -1;
        if (player->wire.out.len < left)
            last = clock_now_ns();
        left = player->wire.out.len;
    }
    return 0;
}

static int run_push(struct player *player, const char *text, struct theseus_error *err) {
    (void)text;
    return push_until_stuck(player, err);
}

static int run_hear(struct player *player, const char *text, struct theseus_error *err) {
    (void)text;
    (void)err;
    player->wire.deaf = false;
    return 0;
}

static int run_memory(struct player *player, const char *text, struct theseus_error *err) {
    long kb = peer_memory_kb(player->peer);
    int most = 0;

    if (set_number(text, &most, err) < 0)
        return -1;
    return kb > most ? fail(err, ERR_LIMIT, "the server has %ld KB of memory, more than %d", kb, most) : 0;
}

static int run_modes(struct player *player, const char *text, struct theseus_error *err) {
    CLEANUP(free) char *words = xstrdup(text);

    (void)err;
    for (char *save, *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
        (void)json_array_append_new(player->modes, json_string(word));
    return 0;
}

static int play_one(struct player *player, enum step_kind kind, const char *text, struct theseus_error *err) {
    CLEANUP(free) char *copy = xstrdup(text);
    struct step step = {.kind = kind, .text = copy};

    return player_step(player, &step, err);
}

/* The handshake of a revision. */
static int run_legacy(struct player *player, const char *text, struct theseus_error *err) {
    static const struct {
        enum step_kind kind;
        const char *text;
    } steps[] = {
        {STEP_SEND,
         "{\"jsonrpc\":\"2.0\",\"id\":\"handshake\",\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
         "\"${REVISION}\",\"capabilities\":{},\"clientInfo\":{\"name\":\"transcript\",\"version\":\"1\"}}}"},
        {STEP_EXPECT,
         "{\"jsonrpc\":\"2.0\",\"id\":\"handshake\",\"result\":{\"protocolVersion\":\"${REVISION}\","
         "\"capabilities\":{\"tools\":{\"listChanged\":true},\"resources\":{\"subscribe\":true,\"listChanged\":true},\"logging\":{}},\"serverInfo\":${SERVER},"
         "\"instructions\":\"$string\"}}"},
        {STEP_SEND, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"},
    };

    if (json_object_set_new(player->names, "REVISION", json_string(text)) < 0)
        return fail(err, ERR_INVALID, "'%s' is no revision", text);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        if (play_one(player, steps[i].kind, steps[i].text, err) < 0)
            return -1;
    return 0;
}

typedef int directive_fn(struct player *player, const char *text, struct theseus_error *err);

static const struct {
    const char *word;
    directive_fn *run;
} directives[] = {
    {"config", run_config}, {"tools", run_tools},   {"plugin", run_plugin}, {"unplug", run_unplug},
    {"let", run_let},       {"repeat", run_repeat}, {"within", run_within}, {"ordered", run_ordered},
    {"start", run_start},   {"close", run_close},   {"exit", run_exit},     {"stderr", run_stderr},
    {"deaf", run_deaf},     {"push", run_push},     {"hear", run_hear},     {"memory", run_memory},
    {"modes", run_modes},   {"input", run_input},   {"from", run_from},     {"legacy", run_legacy},
};

bool directive_adds_to_document(const char *text) {
    return script_behind(text, "config") || script_behind(text, "tools") || script_behind(text, "input");
}

int directive_run(struct player *player, const char *text, struct theseus_error *err) {
    for (size_t i = 0; i < ARRAY_SIZE(directives); i++) {
        const char *rest = script_behind(text, directives[i].word);
        if (rest)
            return directives[i].run(player, rest, err);
    }
    return fail(err, ERR_INVALID, "an unknown directive");
}
