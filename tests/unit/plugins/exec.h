/* The whole exec plugin, and one tool of it before a fake host. */
#pragma once

#include "test.h"

#include "../../../plugins/exec/command.c"
#include "../../../plugins/exec/environment.c"
#include "../../../plugins/exec/exec.c"
#include "../../../plugins/exec/input.c"
#include "../../../plugins/exec/memory.c"
#include "../../../plugins/exec/output.c"
#include "../../../plugins/exec/process.c"
#include "../../../plugins/exec/run.c"
#include "../../../plugins/exec/section.c"
#include "../../../plugins/exec/template.c"
#include "../../../plugins/exec/text.c"
#include "../../../plugins/exec/utf8.c"

#include "host.h"

struct bench {
    struct fake fake;
    void *self;
};

static inline json_t *json(const char *text) {
    json_t *value = json_loads(text, JSON_ALLOW_NUL, NULL);

    assert_non_null(value);
    return value;
}

/* A plugin with the one tool "t", whose section is this JSON text. */
static inline struct bench *bench_new(const char *section) {
    struct bench *bench = calloc(1, sizeof(*bench));
    struct theseus_error err = {0};

    (void)signal(SIGPIPE, SIG_IGN); /* as in the server */
    assert_non_null(bench);
    bench->fake = fake_made();
    bench->fake.tool = "t";
    bench->fake.config = json_pack("{s:{s:o}}", "tool", "t", json(section));
    if (theseus_plugin.start(&bench->fake.ctx, &bench->self, &err) < 0)
        print_error("%s\n", err.message);
    assert_non_null(bench->self);
    return bench;
}

static inline void bench_free(struct bench *bench) {
    theseus_plugin.stop(bench->self);
    fake_fini(&bench->fake);
    free(bench);
}

/* Calls it with these arguments and returns the text of the answer; borrowed until the next call. */
static inline const char *bench_call(struct bench *bench, const char *args_text) {
    json_t *args = json(args_text);

    bench->fake.answers = 0;
    assert_int_equal(bench->fake.handler(&bench->fake.call, bench->self, args), THESEUS_DONE);
    assert_int_equal(bench->fake.answers, 1);
    assert_int_equal(bench->fake.started, bench->fake.ended);
    fake_release_gone(&bench->fake);
    json_decref(args);
    return fake_text(&bench->fake);
}
