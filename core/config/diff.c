/* What is different between two configurations, by name. */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/option.h"

struct difference {
    config_change_fn *change;
    void *arg;
};

static void tell(const struct difference *difference, const char *prefix, const char *name, bool in_place) {
    CLEANUP(free) char *full = xasprintf("%s%s", prefix, name);

    difference->change(difference->arg, full, in_place);
}

/* Is it what the directories make of it? */
static bool follows_directories(const struct option_def *option, const struct config *config) {
    struct config made = {.server = {.state_dir = config->server.state_dir, .runtime_dir = config->server.runtime_dir}};
    const struct config_source source = {0};

    if (!option->compute)
        return false;
    option->compute(&made, &source);
    bool follows = option_same(option, &made, config);
    option_fini(option, &made);
    return follows;
}

/* Of one change only that is told which somebody has made. */
static bool is_consequence(const struct option_def *option, const struct config *before, const struct config *after) {
    bool same = strcmp(before->server.state_dir, after->server.state_dir) == 0 &&
                strcmp(before->server.runtime_dir, after->server.runtime_dir) == 0;

    return !same && follows_directories(option, before) && follows_directories(option, after);
}

/* One side of a walk through two sorted arrays. */
struct side {
    const struct config_section *next, *end;
};

/* Both are sorted by name: what stands first on one side only was added or removed. */
static void diff_sections(const struct difference *difference, const char *prefix, struct side a, struct side b) {
    while (a.next < a.end || b.next < b.end) {
        int order = a.next == a.end ? 1 : b.next == b.end ? -1 : strcmp(a.next->name, b.next->name);
        const char *name = order <= 0 ? a.next->name : b.next->name;
        if (order != 0 || !config_section_same(a.next, b.next))
            tell(difference, prefix, name, true);
        a.next += order <= 0;
        b.next += order >= 0;
    }
}

static struct side side_of(const struct config_section *sections, size_t count) {
    return (struct side){sections, count > 0 ? sections + count : sections};
}

void config_diff(const struct config *before, const struct config *after, config_change_fn *change, void *arg) {
    const struct difference difference = {change, arg};

    for (const struct option_def *option = option_table; option < option_table + option_count; option++) {
        CLEANUP(free) char *section = xasprintf("%s.", option->section);
        if (!option_same(option, before, after) && !is_consequence(option, before, after))
            tell(&difference, section, option->key, option->change == OPT_IN_PLACE);
    }
    diff_sections(&difference, "plugin:", side_of(before->plugin_sections, before->plugin_count),
                  side_of(after->plugin_sections, after->plugin_count));
    diff_sections(&difference, "tool:", side_of(before->tool_sections, before->tool_count),
                  side_of(after->tool_sections, after->tool_count));
}
