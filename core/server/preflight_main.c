/*
 * The child's half of the preflight: see preflight.h. Its last line on stdout is the report; before each step it says
 * what it begins, so that a crash can be blamed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/image.h"
#include "plugin/testchild.h"
#include "server/preflight.h"
#include "server/preflight_load.h"
#include "server/rehearsal.h"
#include "store/schema.h"

#include <theseus/plugin.h>

struct examination {
    int out;
    struct config_source source;
    const char *room;
    struct ledger *ledger;
    struct config *config;
    struct subjects subjects;
    json_t *report;
};

static void begin(const struct examination *examination, const char *step) {
    testchild_say(examination->out, json_pack("{s:s}", "begin", step));
}

/* ---- the ledger ---- */

static void take_program(void *arg, const void *recorded) {
    const struct boot_record *record = recorded;
    struct examination *examination = arg;

    if (record->program.len > 0)
        examination->source.program = xstrndup(record->program.data, record->program.len);
}

static int open_copy(struct ledger **ret_ledger, int fd, struct theseus_error *err) {
    if (fd < 0)
        return fail_errno(err, "there is no ledger");
    if (ledger_open(ret_ledger, fd, err) < 0) {
        (void)close(fd);
        return -1;
    }
    size_t damaged = ledger_damaged(*ret_ledger);
    return damaged > 0 ? fail(err, ERR_INVALID, "%zu batches of the ledger cannot be read", damaged) : 0;
}

/* Folds it, writes it again, and tells the digest of what that has become. */
static int examine_ledger(struct examination *examination, struct theseus_error *err) {
    struct ledger *again = NULL;
    char digest[17];
    uint64_t value;
    int fd = -1;

    begin(examination, "ledger");
    if (open_copy(&examination->ledger, dup(STDIN_FILENO), err) < 0 || ledger_copy(examination->ledger, &fd, err) < 0 ||
        open_copy(&again, fd, err) < 0)
        return -1;
    ledger_digest(again, &value);
    (void)snprintf(digest, sizeof(digest), "%016" PRIx64, value);
    (void)json_object_set_new(examination->report, "digest", json_string(digest));
    ledger_each(examination->ledger, &boot_kind, take_program, examination);
    return 0;
}

/* ---- the configuration ---- */

static void note_problem(void *arg, const char *file, int line, const char *text) {
    json_t *row = json_pack("{s:o, s:i, s:o}", "file", testchild_text_new(file ? file : "", "(not UTF-8)"), "line",
                            line, "text", testchild_text_new(text, "(not UTF-8)"));

    (void)json_array_append_new(json_object_get(arg, "problems"), row);
}

static int read_configuration(struct examination *examination, struct theseus_error *err) {
    begin(examination, "configuration");
    (void)json_object_set_new(examination->report, "problems", json_array());
    return config_load(&examination->config, &examination->source, note_problem, examination->report, err);
}

/* ---- the plugins ---- */

/* Each of them, whatever became of the others; the first that is lost is the error. */
static int load_plugins(struct examination *examination, struct theseus_error *err) {
    json_t *rows = json_array();
    int r = 0;

    (void)json_object_set_new(examination->report, "plugins", rows);
    subjects_read(&examination->subjects, examination->ledger, examination->config);
    for (size_t i = 0; i < examination->subjects.count; i++) {
        struct subject *subject = &examination->subjects.items[i];
        struct theseus_error why = {0};
        testchild_say(examination->out, json_pack("{s:s, s:s}", "begin", "plugin", "name", subject->name));
        json_t *row = json_pack("{s:s}", "name", subject->name);
        (void)json_array_append_new(rows, row);
        if (subject_load(subject, examination->config, &why) == 0)
            continue;
        (void)json_object_set_new(row, "error", testchild_text_new(why.message, "(not UTF-8)"));
        r = fail(err, why.code, "plugin '%s' would be lost: %s", subject->name, why.message);
    }
    return r;
}

/* ---- the database ---- */

/* A plugin that knows less of the database than there is would be refused. */
static int check_ahead(const json_t *pending, struct theseus_error *err) {
    json_t *row;
    size_t i;

    json_array_foreach (pending, i, row) {
        const char *component = json_string_value(json_object_get(row, "component"));
        json_int_t known = json_integer_value(json_object_get(row, "known"));
        json_int_t ahead = -json_integer_value(json_object_get(row, "pending"));
        if (ahead > 0 && strcmp(component, SCHEMA_CORE) != 0)
            return fail(err, ERR_NEWER, "plugin '%s' would be lost: the database has %d steps of it, known are %d",
                        component, (int)(known + ahead), (int)known);
    }
    return 0;
}

static int try_migrations(struct examination *examination, struct theseus_error *err) {
    const struct subjects *subjects = &examination->subjects;
    CLEANUP(free) struct rehearsal_part *parts = xcalloc(subjects->count + 1, sizeof(*parts));
    json_t *pending = NULL;

    begin(examination, "migrations");
    parts[0] = (struct rehearsal_part){SCHEMA_CORE, schema_core_steps, true};
    for (size_t i = 0; i < subjects->count; i++) {
        const struct theseus_plugin *plugin = image_plugin(subjects->items[i].image);
        parts[i + 1] = (struct rehearsal_part){subjects->items[i].name, plugin->migrations,
                                               (plugin->flags & THESEUS_SCHEMA_ON_USE) != 0};
    }
    (void)setenv("TMPDIR", examination->room, 1); /* what SQLite needs beside the copy */
    int r = rehearsal_run(examination->config->server.state_dir, examination->room, parts, subjects->count + 1,
                          &pending, err);
    if (pending)
        (void)json_object_set_new(examination->report, "migrations", pending);
    return r < 0 ? -1 : check_ahead(pending, err);
}

static int examine(struct examination *examination, struct theseus_error *err) {
    if (examine_ledger(examination, err) < 0 || read_configuration(examination, err) < 0 ||
        load_plugins(examination, err) < 0)
        return -1;
    return try_migrations(examination, err);
}

void preflight_main(const struct config_source *source, const char *room) {
    struct examination examination = {.out = testchild_begin(), .source = *source, .room = room};
    struct theseus_error err = {0};

    log_set_level(LOG_ERROR); /* what is wrong is reported */
    examination.report = json_pack("{s:s}", "version", THESEUS_VERSION);
    if (examination.out >= 0 && examine(&examination, &err) < 0)
        (void)json_object_set_new(examination.report, "error", testchild_text_new(err.message, "(not UTF-8)"));
    if (examination.out >= 0)
        testchild_say(examination.out, examination.report);
    _exit(examination.out < 0 || err.message[0] ? EXIT_FAILURE : EXIT_SUCCESS); /* destructors of plugins do not run */
}
