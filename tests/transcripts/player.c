#include "player.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "names.h"
#include "player_inner.h"

enum { PUMP_MS = 100 };

static const char *const mode_names[] = {"pipe", "socket", "rebuild", "rebuild-early"};

const char *player_mode_name(enum player_mode mode) {
    return mode_names[mode];
}

static bool is_object(const struct player *player) {
    return player->mode >= PLAY_REBUILD;
}

int player_start_from(struct player *player, const char *input, struct theseus_error *err) {
    static const enum peer_kind kinds[] = {PEER_PIPE, PEER_SOCKET, PEER_OBJECT, PEER_OBJECT};

    if (peer_new(&player->peer, kinds[player->mode], player->sandbox, input, err) < 0)
        return -1;
    wire_init(&player->wire, player->peer);
    return 0;
}

int player_start(struct player *player, struct theseus_error *err) {
    return player->peer ? 0 : player_start_from(player, NULL, err);
}

int player_flush(struct player *player, struct theseus_error *err) {
    int64_t end = clock_now_ns() + (int64_t)player->within_ms * 1000000;

    while (player->peer && player->wire.out.len > 0 && !player->wire.deaf) {
        if (clock_now_ns() > end)
            return fail(err, ERR_TIMEOUT, "the server does not read");
        if (wire_pump(&player->wire, PUMP_MS, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- expecting ---- */

static void print_waiting(const struct player *player) {
    int shown = 0;

    group_print_open(&player->group, player->script->path);
    list_for_each (link, &player->wire.inbox)
        if (shown++ < 10)
            printf("    this came: %.600s\n", list_entry(link, struct arrival, link)->text);
}

static int wait_for_group(struct player *player, struct theseus_error *err) {
    int64_t end = clock_now_ns() + (int64_t)player->within_ms * 1000000;

    while (group_take(&player->group, &player->wire, err) == 0 && err->code == ERR_UNSET) {
        if (player->group.open == 0)
            return 0;
        if (player->wire.ended)
            return fail(err, ERR_MISSING, "the server has closed its output");
        if (clock_now_ns() > end)
            return fail(err, ERR_TIMEOUT, "waited %d ms", player->within_ms);
        if (wire_pump(&player->wire, PUMP_MS, err) < 0)
            return -1;
    }
    return -1;
}

int player_wait(struct player *player, struct theseus_error *err) {
    if (player->group.count == 0)
        return 0;
    if (player_start(player, err) < 0)
        return -1;
    if (wait_for_group(player, err) < 0) {
        print_waiting(player);
        return -1;
    }
    group_end(&player->group);
    player->within_ms = DEFAULT_WITHIN_MS;
    return 0;
}

/* ---- sending ---- */

static int save(struct player *player, struct document *document, struct theseus_error *err) {
    if (!document->changed)
        return 0;
    document->changed = false;
    CLEANUP(free) char *text = xstrndup(document->text.data + document->text.start, document->text.len);
    CLEANUP(free) char *expanded = NULL;
    if (player_flush(player, err) < 0 || names_expand(player->names, text, &expanded, err) < 0)
        return -1;
    return fs_write_file(document->path, span_of(expanded), 0600, err);
}

static int save_documents(struct player *player, struct theseus_error *err) {
    if (save(player, &player->config, err) < 0 || save(player, &player->tools, err) < 0)
        return -1;
    return save(player, &player->input, err);
}

static int queue_line(struct player *player, const struct step *step, size_t number, struct theseus_error *err) {
    CLEANUP(free) char *counter = xasprintf("%zu", number), *text = NULL;
    CLEANUP(buf_fini) struct buf bytes = {0};

    if (json_object_set_new(player->names, "n", json_string(counter)) < 0)
        return fail(err, ERR_MEMORY, "no memory for a name");
    if (names_expand(player->names, step->text, &text, err) < 0)
        return -1;
    if (step->kind == STEP_RAW)
        return names_unescape(text, &bytes, err) < 0 ? -1 : wire_send(&player->wire, buf_span(&bytes), err);
    if (wire_send(&player->wire, span_of(text), err) < 0)
        return -1;
    return wire_send(&player->wire, span_of("\n"), err);
}

static size_t times(struct player *player) {
    size_t repeat = player->repeat ? player->repeat : 1;

    player->repeat = 0;
    return repeat;
}

/* Thrown away with the bytes in hand: not read, or read and not worked on, or answered and the answer not written. */
static int remake_early(struct player *player, struct theseus_error *err) {
    for (wire_push(&player->wire); player->wire.out.len > 0 && !player->wire.broken; wire_push(&player->wire))
        (void)peer_turn(player->peer, 1);
    for (int turns = player->sent % 4; turns > 0; turns--)
        (void)peer_turn(player->peer, 0);
    return peer_remake(player->peer, err);
}

static int send_step(struct player *player, const struct step *step, struct theseus_error *err) {
    if (player_start(player, err) < 0)
        return -1;
    if (peer_in(player->peer) < 0)
        return fail(err, ERR_INVALID, "the input is closed already");
    if (player->mode == PLAY_REBUILD && player->sent > 0 && peer_remake(player->peer, err) < 0)
        return -1;
    size_t count = times(player);
    for (size_t i = 0; i < count; i++)
        if (queue_line(player, step, i, err) < 0)
            return -1;
    player->sent++;
    if (player->mode == PLAY_REBUILD_EARLY)
        return remake_early(player, err);
    wire_push(&player->wire);
    return 0;
}

int player_step(struct player *player, const struct step *step, struct theseus_error *err) {
    bool goes_on = step->kind == STEP_EXPECT || (step->kind == STEP_DIRECTIVE && script_behind(step->text, "repeat"));

    if (!goes_on && player_wait(player, err) < 0)
        return -1;
    bool is_document = step->kind == STEP_DIRECTIVE && directive_adds_to_document(step->text);
    if (!is_document && save_documents(player, err) < 0)
        return -1;
    if (step->kind == STEP_EXPECT)
        return group_add(&player->group, step->text, times(player), step->line, err);
    if (step->kind == STEP_NEVER)
        return group_never(&player->group, step->text, err);
    if (step->kind == STEP_MAYBE)
        return group_maybe(&player->group, step->text, err);
    if (step->kind == STEP_DIRECTIVE)
        return directive_run(player, step->text, err);
    return send_step(player, step, err);
}

/* ---- the end ---- */

static bool is_done(struct player *player, int *ret_status) {
    return peer_is_over(player->peer, ret_status) && (is_object(player) || player->wire.ended || player->wire.deaf);
}

static int wait_for_exit(struct player *player, struct theseus_error *err) {
    int64_t end = clock_now_ns() + (int64_t)player->exit_ms * 1000000;
    int status = 0;

    while (!is_done(player, &status)) {
        if (clock_now_ns() > end)
            return fail(err, ERR_TIMEOUT, "the server is still there %d ms after the end of its input",
                        player->exit_ms);
        if (wire_pump(&player->wire, PUMP_MS, err) < 0)
            return -1;
    }
    if (wire_pump(&player->wire, 0, err) < 0)
        return -1;
    if (status != player->exit_status)
        return fail(err, ERR_INVALID, "the server's exit status is %d, not %d", status, player->exit_status);
    return 0;
}

static int check_left(struct player *player, struct theseus_error *err) {
    if (player->wire.in.len > 0)
        return fail(err, ERR_INVALID, "the server's last line has no end: %.*s", (int)player->wire.in.len,
                    buf_span(&player->wire.in).data);
    if (group_take(&player->group, &player->wire, err) < 0)
        return -1;
    if (list_empty(&player->wire.inbox))
        return 0;
    print_waiting(player);
    return fail(err, ERR_INVALID, "lines came that nothing expects");
}

/* The thread sanitizer's own tables keep an image mapped that it has seen a thread in: no fault of the server's. */
static bool is_of_the_sanitizer(const char *line) {
#ifdef __SANITIZE_THREAD__
    return strstr(line, "keeps its image mapped") != NULL;
#else
    (void)line;
    return false;
#endif
}

static bool is_allowed(const struct player *player, const char *line) {
    json_t *text;
    size_t i;

    json_array_foreach (player->allowed_errors, i, text)
        if (strstr(line, json_string_value(text)))
            return true;
    return false;
}

/* Each line of stderr is allowed, and each that is allowed is there. */
static int check_stderr(struct player *player, struct theseus_error *err) {
    CLEANUP(free) char *path = path_join(player->sandbox->dir, "stderr");
    CLEANUP(buf_fini) struct buf content = {0};
    json_t *wanted;
    size_t i;

    if (fs_read_file(path, 64 << 20, &content, err) < 0)
        return -1;
    CLEANUP(free) char *text = xstrndup(content.len ? buf_span(&content).data : "", content.len);
    json_array_foreach (player->allowed_errors, i, wanted)
        if (!strstr(text, json_string_value(wanted)))
            return fail(err, ERR_MISSING, "stderr lacks '%s'", json_string_value(wanted));
    for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (!is_allowed(player, line) && !is_of_the_sanitizer(line))
            return fail(err, ERR_INVALID, "on stderr: %s", line);
    return 0;
}

static int finish(struct player *player, struct theseus_error *err) {
    if (player_wait(player, err) < 0 || save_documents(player, err) < 0 || player_start(player, err) < 0 ||
        player_flush(player, err) < 0)
        return -1;
    peer_close_in(player->peer);
    if (wait_for_exit(player, err) < 0 || check_left(player, err) < 0)
        return -1;
    player->peer = peer_free(player->peer);
    return check_stderr(player, err);
}

/* ---- all of it ---- */

static bool is_for_mode(const struct player *player) {
    json_t *mode;
    size_t i;

    json_array_foreach (player->modes, i, mode)
        if (strcmp(json_string_value(mode), player_mode_name(player->mode)) == 0)
            return true;
    return json_array_size(player->modes) == 0;
}

static int play(struct player *player, struct theseus_error *err) {
    for (size_t i = 0; i < player->script->count; i++) {
        const struct step *step = &player->script->steps[i];
        if (player_step(player, step, err) < 0)
            return error_prefix(err, "line %d: ", step->line);
        if (!is_for_mode(player))
            return PLAY_SKIPPED;
    }
    return finish(player, err);
}

static int init(struct player *player, enum player_mode mode, const char *dir, struct theseus_error *err) {
    *player = (struct player){
        .mode = mode,
        .within_ms = DEFAULT_WITHIN_MS,
        .exit_ms = DEFAULT_EXIT_MS,
        .modes = json_array(),
        .allowed_errors = json_array(),
        .names = json_pack("{s:s, s:s}", "M",
                           "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
                           "\"io.modelcontextprotocol/clientCapabilities\":{},"
                           "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"transcript\",\"version\":\"1\"}",
                           "SERVER", "{\"name\":\"theseus\",\"title\":\"Theseus\",\"version\":\"$string\"}"),
    };
    wire_init(&player->wire, NULL);
    group_init(&player->group, player->names);
    if (sandbox_new(&player->sandbox, dir, err) < 0)
        return -1;
    player->config.path = xstrdup(player->sandbox->config);
    player->tools.path = path_join(player->sandbox->plugins, "tools.ini");
    player->input.path = path_join(player->sandbox->work, "input");
    (void)json_object_set_new(player->names, "PLUGINS", json_string(player->sandbox->plugins));
    (void)json_object_set_new(player->names, "WORK", json_string(player->sandbox->work));
    (void)json_object_set_new(player->names, "CONFIG", json_string(player->sandbox->config));
    return 0;
}

static void fini(struct player *player) {
    wire_fini(&player->wire);
    group_fini(&player->group);
    (void)peer_free(player->peer);
    (void)sandbox_free(player->sandbox);
    buf_fini(&player->config.text);
    buf_fini(&player->tools.text);
    buf_fini(&player->input.text);
    free(player->input.path);
    free(player->config.path);
    free(player->tools.path);
    json_decref(player->names);
    json_decref(player->modes);
    json_decref(player->allowed_errors);
}

int player_play(const char *path, enum player_mode mode, const char *dir, struct theseus_error *err) {
    CLEANUP(script_free) struct script *script = NULL;
    struct player player;

    if (script_read(&script, path, err) < 0)
        return -1;
    int r = init(&player, mode, dir, err);
    player.script = script;
    if (r == 0)
        r = play(&player, err);
    if (r == PLAY_SKIPPED)
        (void)fail(err, ERR_INVALID, "not for a server over %s", player_mode_name(mode));
    fini(&player);
    return r;
}
