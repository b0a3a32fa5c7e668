#include "section.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

enum { DEFAULT_MAX_OUTPUT = 64 << 10, LARGEST_MAX_OUTPUT = 8 << 20, LARGEST_TIMEOUT = 7 * 24 * 3600 };

/* One key that is a setting by itself; those that begin with input. and env. are not here. */
struct key {
    const char *name;
    int (*read)(struct section *section, const char *text, struct theseus_error *err);
};

static int read_command(struct section *section, const char *text, struct theseus_error *err) {
    return command_parse(&section->command, text, &section->inputs, err);
}

static int read_title(struct section *section, const char *text, struct theseus_error *err) {
    (void)err;
    section->title = *text ? text : NULL;
    return 0;
}

static int read_description(struct section *section, const char *text, struct theseus_error *err) {
    (void)err;
    section->description = *text ? memory_copied(text, strlen(text)) : NULL;
    return 0;
}

static int read_stdin(struct section *section, const char *text, struct theseus_error *err) {
    return template_parse(&section->input, text, &section->inputs, err);
}

/* A whole number from 1 to `max`, as text that has nothing else; K and M multiply where `units`. */
static int read_number(const char *text, size_t max, bool units, size_t *ret_number) {
    unsigned long long number = 0;
    const char *at = text;

    for (; isdigit((unsigned char)*at) && number <= max; at++)
        number = number * 10 + (unsigned)(*at - '0');
    if (units && at > text && (*at == 'K' || *at == 'M'))
        number <<= *at++ == 'K' ? 10 : 20;
    if (*at != '\0' || number < 1 || number > max)
        return -1;
    *ret_number = (size_t)number;
    return 0;
}

static int read_timeout(struct section *section, const char *text, struct theseus_error *err) {
    size_t seconds;

    if (read_number(text, LARGEST_TIMEOUT, false, &seconds) < 0)
        return theseus_fail(err, "must be a whole number of seconds from 1 to %d", LARGEST_TIMEOUT);
    section->timeout = (unsigned)seconds;
    return 0;
}

static int read_max_output(struct section *section, const char *text, struct theseus_error *err) {
    if (read_number(text, LARGEST_MAX_OUTPUT, true, &section->max_output) < 0)
        return theseus_fail(err, "must be a number of bytes from 1 to 8M, such as 65536 or 64K");
    return 0;
}

static int read_directory(struct section *section, const char *text, struct theseus_error *err) {
    const char *home = getenv("HOME");
    struct text path = {0};

    if (*text == '~' && (text[1] == '/' || text[1] == '\0') && home && *home == '/')
        text_printf(&path, "%s%s", home, text + 1);
    else if (*text == '/')
        text_printf(&path, "%s", text);
    else
        return theseus_fail(err, "must be an absolute path, or begin with ~/; leave it out for the caller's directory");
    section->directory = text_take(&path);
    return section->directory ? 0 : theseus_fail(err, "no memory");
}

static int read_read_only(struct section *section, const char *text, struct theseus_error *err) {
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) != 0)
            continue;
        section->flags |= i % 2 ? THESEUS_READ_ONLY : 0;
        return 0;
    }
    return theseus_fail(err, "must be yes or no");
}

static const struct key keys[] = {
    {"command", read_command},       {"title", read_title},         {"description", read_description},
    {"stdin", read_stdin},           {"timeout", read_timeout},     {"cwd", read_directory},
    {"max_output", read_max_output}, {"read_only", read_read_only},
};
enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

static bool has_prefix(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* How many letters must change, come or go between two words; those behind the 31st do not count. */
static unsigned distance(const char *a, const char *b) {
    unsigned row[32];
    size_t width = strnlen(b, 31);

    for (size_t k = 0; k <= width; k++)
        row[k] = (unsigned)k;
    for (size_t i = 0; a[i] && i < 31; i++) {
        unsigned diagonal = row[0]++;
        for (size_t k = 1; k <= width; k++) {
            unsigned change = diagonal + (a[i] != b[k - 1]);
            unsigned shorter = row[k] < row[k - 1] ? row[k] : row[k - 1];
            diagonal = row[k];
            row[k] = change < shorter + 1 ? change : shorter + 1;
        }
    }
    return row[width];
}

static int unknown_key(const char *name, struct theseus_error *err) {
    const char *nearest = "input.NAME";
    unsigned least = distance(name, "input.");

    for (size_t i = 0; i < KEY_COUNT; i++) {
        unsigned here = distance(name, keys[i].name);
        if (here < least) {
            nearest = keys[i].name;
            least = here;
        }
    }
    return theseus_fail(err, "no such key; did you mean '%s'?", nearest);
}

/* Adds "[tool:NAME] key: " in front. */
static int located(struct theseus_error *err, const struct section *section, const char *key) {
    char reason[sizeof(err->message)];

    if (!err)
        return -1;
    memcpy(reason, err->message, sizeof(reason));
    return theseus_fail(err, "[tool:%s] %s: %s", section->name, key, reason);
}

/* The inputs come first: the other keys have placeholders for them. */
static int read_inputs(struct section *section, struct theseus_error *err) {
    const char *key;
    json_t *value;

    json_object_foreach (section->source, key, value) {
        if (!json_is_string(value)) {
            (void)theseus_fail(err, "must be text");
            return located(err, section, key);
        }
        if (has_prefix(key, "input.") &&
            inputs_add(&section->inputs, key + strlen("input."), json_string_value(value), err) < 0)
            return located(err, section, key);
    }
    return 0;
}

static int read_key(struct section *section, const char *key, const char *text, struct theseus_error *err) {
    if (has_prefix(key, "input."))
        return 0;
    if (has_prefix(key, "env.")) {
        const char *name = key + strlen("env.");
        return name_is_valid(name, strlen(name), "") ? 0 : theseus_fail(err, "'%s' cannot name a variable", name);
    }
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(key, keys[i].name) == 0)
            return keys[i].read(section, text, err);
    return unknown_key(key, err);
}

static int read_keys(struct section *section, struct theseus_error *err) {
    const char *key;
    json_t *value;

    json_object_foreach (section->source, key, value) {
        if (read_key(section, key, json_string_value(value), err) < 0)
            return located(err, section, key);
    }
    return 0;
}

/* The name becomes a tool's, and part of messages. */
static int check_name(const char *name, struct theseus_error *err) {
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
            len = 0;
    if (len == 0 || len > 64)
        return theseus_fail(err, "[tool:%.64s] the name of a tool is 1 to 64 letters, digits, '_' and '-'", name);
    return 0;
}

static int check_whole(struct section *section, struct theseus_error *err) {
    if (section->command.count == 0)
        return theseus_fail(err, "[tool:%s] command: is missing; it says which program to run", section->name);
    for (size_t i = 0; i < section->inputs.count; i++) {
        const struct input *input = &section->inputs.items[i];
        if (!input->used)
            return theseus_fail(err, "[tool:%s] input.%s: is used nowhere; put {%s} into command or stdin%s",
                                section->name, input->name, input->name, " (inside '…' braces are literal; use \"…\")");
    }
    return 0;
}

static int complete(struct section *section, struct theseus_error *err) {
    json_t *schema = inputs_schema(&section->inputs);

    section->schema = json_dumps(schema, JSON_COMPACT);
    json_decref(schema);
    if (!section->description) {
        const struct text *program = &section->command.words[0].pieces[0].text;
        struct text text = {0};
        text_printf(&text, "Runs the program %.*s.", (int)program->len, program->data);
        section->description = text_take(&text);
    }
    return section->schema && section->description ? 0 : theseus_fail(err, "no memory");
}

int section_new(struct section **ret_section, const char *name, const json_t *source, struct theseus_error *err) {
    struct section *section;

    if (check_name(name, err) < 0)
        return -1;
    if (!json_is_object(source))
        return theseus_fail(err, "[tool:%s] must be a section with keys", name);
    section = memory_grown(NULL, 0, sizeof(*section));
    atomic_init(&section->references, 1);
    section->name = memory_copied(name, strlen(name));
    section->source = json_deep_copy(source);
    section->max_output = DEFAULT_MAX_OUTPUT;
    if (read_inputs(section, err) < 0 || read_keys(section, err) < 0 || check_whole(section, err) < 0 ||
        complete(section, err) < 0) {
        section_unref(section);
        return -1;
    }
    *ret_section = section;
    return 0;
}

struct section *section_ref(struct section *section) {
    atomic_fetch_add(&section->references, 1);
    return section;
}

void section_unref(struct section *section) {
    if (!section || atomic_fetch_sub(&section->references, 1) > 1)
        return;
    inputs_fini(&section->inputs);
    command_fini(&section->command);
    template_fini(&section->input);
    free(section->directory);
    free(section->description);
    free(section->schema);
    free(section->name);
    json_decref(section->source);
    free(section);
}

void section_environment(const struct section *section, struct strings *environment) {
    const char *key;
    json_t *value;

    json_object_foreach (section->source, key, value) {
        struct text text = {0};
        if (!has_prefix(key, "env."))
            continue;
        text_printf(&text, "%s=%s", key + strlen("env."), json_string_value(value));
        strings_add(environment, text_take(&text));
    }
}
