/* What can be written for an option of each type, and what becomes of it. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "config/option.h"
#include "config/principal.h"
#include "config/words.h"

enum { SHOWN_BYTES = 60 }; /* of a value that is quoted in a message */

static void *field(const struct option_def *option, void *structure) {
    return (char *)structure + option->offset;
}

static const void *const_field(const struct option_def *option, const struct config *config) {
    return (const char *)config + option->offset;
}

/* For "%.*s": how much of the value a message quotes, cut between characters. */
static int shown(const char *value) {
    size_t len = strnlen(value, SHOWN_BYTES);

    while (len > 0 && ((unsigned char)value[len] & 0xC0) == 0x80)
        len--;
    return (int)len;
}

static const char *unit_of(enum option_type type) {
    return type == OPT_SECONDS ? "seconds" : type == OPT_MILLIS ? "milliseconds" : "number";
}

static void size_text(int64_t size, char *text, size_t text_size) {
    static const struct {
        int64_t bytes;
        const char *letter;
    } units[] = {{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}, {1, ""}};
    size_t i = size == 0 ? ARRAY_SIZE(units) - 1 : 0;

    while (size % units[i].bytes != 0)
        i++;
    (void)snprintf(text, text_size, "%" PRId64 "%s", size / units[i].bytes, units[i].letter);
}

static const struct {
    int seconds;
    char letter;
} durations[] = {{24 * 60 * 60, 'd'}, {60 * 60, 'h'}, {60, 'm'}, {1, 's'}};

static void duration_text(int64_t seconds, char *text, size_t text_size) {
    size_t i = 0;

    while (seconds % durations[i].seconds != 0)
        i++;
    (void)snprintf(text, text_size, "%" PRId64 "%c", seconds / durations[i].seconds, durations[i].letter);
}

static char *range_text(const struct option_def *option) {
    char min[32], max[32];

    if (option->type != OPT_SIZE && option->type != OPT_DURATION)
        return xasprintf("%" PRId64 " to %" PRId64, option->min, option->max);
    void (*print)(int64_t, char *, size_t) = option->type == OPT_SIZE ? size_text : duration_text;
    print(option->min, min, sizeof(min));
    print(option->max, max, sizeof(max));
    return xasprintf("%s to %s", min, max);
}

static char *words_text(const char *const *words) {
    char *text = xstrdup(words[0]);

    for (size_t i = 1; words[i]; i++) {
        CLEANUP(free) char *before = text;
        text = xasprintf("%s%s%s", before, words[i + 1] ? ", " : " or ", words[i]);
    }
    return text;
}

char *option_syntax(const struct option_def *option) {
    CLEANUP(free) char *range = range_text(option);

    switch (option->type) {
    case OPT_STRING:
        return xasprintf("text, %s bytes", range);
    case OPT_PATH:
        return xstrdup("path");
    case OPT_PATHS:
        return xstrdup("paths, separated by colons");
    case OPT_PATTERNS:
        return xstrdup("names or patterns with * and ?, separated by commas or spaces");
    case OPT_SIZE:
        return xasprintf("bytes, %s", range);
    case OPT_DURATION:
        return xasprintf("a time such as 90s, 30m, 12h or 7d; %s", range);
    case OPT_BOOL:
        return xstrdup("yes or no");
    case OPT_ENUM:
        return words_text(option->words);
    case OPT_WHO:
        return xasprintf("yes, no, %s%sor users: own, others, uid:NUMBER, uid:NAME",
                         option->words ? *option->words : "", option->words ? ", " : "");
    case OPT_RULES:
        return xstrdup("PATTERN for everybody, PATTERN@own, PATTERN@others, PATTERN@uid:NUMBER or PATTERN@uid:NAME, "
                       "separated by commas or spaces");
    case OPT_USERS:
    case OPT_GROUPS:
        return xstrdup("numbers or names, separated by commas or spaces");
    default:
        return xasprintf("%s, %s", unit_of(option->type), range);
    }
}

static int check_range(const struct option_def *option, const char *value, int64_t number, struct theseus_error *err) {
    CLEANUP(free) char *range = range_text(option);

    if (number >= option->min && number <= option->max)
        return 0;
    return fail(err, ERR_INVALID, "'%.*s' is out of range (%s)", shown(value), value, range);
}

/* A whole number, cut to what 64 bits hold (which is out of every range). NULL: no digits; else what follows them. */
static const char *parse_digits(const char *value, int64_t *ret_number) {
    size_t sign = *value == '-' ? 1 : 0;
    size_t digits = strspn(value + sign, "0123456789");

    if (digits == 0)
        return NULL;
    *ret_number = strtoll(value, NULL, 10);
    return value + sign + digits;
}

static int set_size(const struct option_def *option, void *target, const char *value, struct theseus_error *err) {
    static const char letters[] = "kmg";
    int64_t number;
    const char *rest = parse_digits(value, &number);
    const char *letter = rest && *rest ? strchr(letters, *rest | 0x20) : NULL;

    if (!rest || (*rest && (!letter || rest[1])))
        return fail(err, ERR_INVALID, "'%.*s' is not a size such as 65536, 64K or 8M", shown(value), value);
    int shift = letter ? 10 * (int)(letter - letters + 1) : 0;
    if (number > 0 && number > INT64_MAX >> shift)
        number = INT64_MAX;
    else if (number > 0)
        number <<= shift;
    if (check_range(option, value, number, err) < 0)
        return -1;
    *(size_t *)target = (size_t)number;
    return 0;
}

static int set_duration(const struct option_def *option, void *target, const char *value, struct theseus_error *err) {
    int64_t number;
    const char *rest = parse_digits(value, &number);

    for (size_t i = 0; rest && rest[0] && !rest[1] && i < ARRAY_SIZE(durations); i++) {
        if (rest[0] != durations[i].letter)
            continue;
        number = number > INT32_MAX ? INT64_MAX : number * durations[i].seconds;
        if (check_range(option, value, number, err) < 0)
            return -1;
        *(int *)target = (int)number;
        return 0;
    }
    return fail(err, ERR_INVALID, "'%.*s' is not a time such as 90s, 30m, 12h or 7d", shown(value), value);
}

static int set_number(const struct option_def *option, void *target, const char *value, struct theseus_error *err) {
    int64_t number;
    const char *rest = parse_digits(value, &number);

    if (!rest || *rest)
        return fail(err, ERR_INVALID, "'%.*s' is not a whole number%s%s", shown(value), value,
                    option->type == OPT_COUNT ? "" : " of ", option->type == OPT_COUNT ? "" : unit_of(option->type));
    if (check_range(option, value, number, err) < 0)
        return -1;
    *(int *)target = (int)number;
    return 0;
}

static int set_bool(void *target, const char *value, struct theseus_error *err) {
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcasecmp(words[i], value) == 0) {
            *(bool *)target = i % 2 == 1;
            return 0;
        }
    return fail(err, ERR_INVALID, "'%.*s' is neither yes nor no", shown(value), value);
}

static int set_enum(const struct option_def *option, void *target, const char *value, struct theseus_error *err) {
    CLEANUP(free) char *words = words_text(option->words);

    for (int i = 0; option->words[i]; i++)
        if (strcmp(option->words[i], value) == 0) {
            *(int *)target = i;
            return 0;
        }
    return fail(err, ERR_INVALID, "'%.*s' is not %s", shown(value), value, words);
}

static int set_string(const struct option_def *option, void *target, const char *value, struct theseus_error *err) {
    CLEANUP(free) char *range = range_text(option);
    int64_t len = (int64_t)strlen(value);

    if (len < option->min || len > option->max)
        return fail(err, ERR_INVALID, "a text of %" PRId64 " bytes is out of range (%s)", len, range);
    *(char **)target = xstrdup(value);
    return 0;
}

static int set_path(void *target, const char *value, const char *base_dir, struct theseus_error *err) {
    if (!*value)
        return fail(err, ERR_INVALID, "a path is missing");
    *(char **)target = path_absolute(base_dir, value);
    return 0;
}

static int set_paths(void *target, const char *value, const char *base_dir, struct theseus_error *err) {
    char **paths = words_split(value, ":");

    if (!*paths) {
        (void)words_free(paths);
        return fail(err, ERR_INVALID, "a path is missing");
    }
    for (char **path = paths; *path; path++) {
        CLEANUP(free) char *relative = *path;
        *path = path_absolute(base_dir, relative);
    }
    *(char ***)target = paths;
    return 0;
}

static bool has_words(const struct option_def *option) {
    return option->type == OPT_PATHS || option->type == OPT_PATTERNS || option->type == OPT_WHO ||
           option->type == OPT_RULES || option->type == OPT_USERS || option->type == OPT_GROUPS;
}

static void fini(const struct option_def *option, void *structure) {
    void *target = field(option, structure);

    if (option->type == OPT_STRING || option->type == OPT_PATH)
        free(TAKE_PTR(*(char **)target));
    if (has_words(option))
        *(char ***)target = words_free(*(char ***)target);
}

int option_set(const struct option_def *option, struct config *config, const char *value, const char *base_dir,
               struct theseus_error *err) {
    return option_set_in(option, config, value, base_dir, err);
}

int option_set_in(const struct option_def *option, void *structure, const char *value, const char *base_dir,
                  struct theseus_error *err) {
    void *target = field(option, structure);

    fini(option, structure);
    switch (option->type) {
    case OPT_STRING:
        return set_string(option, target, value, err);
    case OPT_PATH:
        return set_path(target, value, base_dir, err);
    case OPT_PATHS:
        return set_paths(target, value, base_dir, err);
    case OPT_PATTERNS:
        *(char ***)target = words_split(value, ", \t\n");
        return 0;
    case OPT_SIZE:
        return set_size(option, target, value, err);
    case OPT_DURATION:
        return set_duration(option, target, value, err);
    case OPT_BOOL:
        return set_bool(target, value, err);
    case OPT_ENUM:
        return set_enum(option, target, value, err);
    case OPT_WHO:
        return principal_parse_list(value, option->words, target, err);
    case OPT_RULES:
        return principal_parse_rules(value, target, err);
    case OPT_USERS:
        return principal_parse_users(value, target, err);
    case OPT_GROUPS:
        return principal_parse_groups(value, target, err);
    default:
        return set_number(option, target, value, err);
    }
}

void option_set_default(const struct option_def *option, struct config *config, const struct config_source *source) {
    struct theseus_error err = {0};

    if (option->compute) {
        option->compute(config, source);
        return;
    }
    int r = option_set(option, config, option->text, "/", &err);
    assert(r == 0); /* the table's own text */
    (void)r;
}

bool option_same(const struct option_def *option, const struct config *a, const struct config *b) {
    const void *in_a = const_field(option, a);
    const void *in_b = const_field(option, b);

    switch (option->type) {
    case OPT_STRING:
    case OPT_PATH:
        return strcmp(*(char *const *)in_a, *(char *const *)in_b) == 0;
    case OPT_PATHS:
    case OPT_PATTERNS:
    case OPT_WHO:
    case OPT_RULES:
    case OPT_USERS:
    case OPT_GROUPS:
        return words_same(*(char **const *)in_a, *(char **const *)in_b);
    case OPT_SIZE:
        return *(const size_t *)in_a == *(const size_t *)in_b;
    case OPT_BOOL:
        return *(const bool *)in_a == *(const bool *)in_b;
    default:
        return *(const int *)in_a == *(const int *)in_b;
    }
}

void option_fini(const struct option_def *option, struct config *config) {
    fini(option, config);
}
