/* Loads a text as the file /etc/x.ini and keeps what is said about it, as "FILE:LINE: text" lines. */
#pragma once

#include <stdio.h>

#include "config/config.h"
#include "config/problems.h"

struct said {
    char text[16384];
};

static inline void note(void *arg, const char *file, int line, const char *text) {
    struct said *said = arg;
    size_t len = strlen(said->text);
    char *end = said->text + len;
    size_t room = sizeof(said->text) - len;

    if (line > 0)
        (void)snprintf(end, room, "%s:%d: %s\n", file, line, text);
    else
        (void)snprintf(end, room, "%s\n", text);
}

static inline struct config *load_bytes(struct span text, const char *const *sets, struct said *said) {
    size_t count = 0;
    struct config *config = NULL;

    while (sets && sets[count])
        count++;
    const struct config_source source = {.path = "/etc/x.ini", .text = text, .sets = sets, .set_count = count};
    *said = (struct said){0};
    int r = config_load(&config, &source, note, said, NULL);
    assert_true(r == 0 ? config && !*said->text : !config && *said->text);
    return config;
}

/* NULL: refused, and `said` says why. */
static inline struct config *load_text(const char *text, struct said *said) {
    return load_bytes(span_of(text), NULL, said);
}

/* With one --set and an empty file. */
static inline struct config *load_set(const char *set, struct said *said) {
    return load_bytes(span_of(""), (const char *const[]){set, NULL}, said);
}

static inline void refuses(const char *text, const char *why) {
    struct said said;

    assert_null(load_text(text, &said));
    assert_string_equal(said.text, why);
}

static inline void refuses_set(const char *set, const char *why) {
    struct said said;

    assert_null(load_set(set, &said));
    assert_string_equal(said.text, why);
}

/* What a section of a valid text holds under the key. */
static inline const char *setting(const struct config_section *section, const char *key) {
    return json_string_value(json_object_get(section->settings, key));
}
