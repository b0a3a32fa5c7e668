#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "config/build.h"
#include "config/option.h"
#include "config/place.h"
#include "config/section.h"
#include "config/trusted.h"
#include "config/words.h"

/* Reads the first file that exists; with none, the first is where it would be. */
static void read_file(struct config *config, struct build *build) {
    CLEANUP(buf_fini) struct buf content = {0};
    struct theseus_error err = {0};
    int r = TRUSTED_MISSING;
    size_t i;

    for (i = 0; config->search[i] && r == TRUSTED_MISSING; i++)
        r = trusted_read(config->search[i], TRUSTED_PUBLIC, LIMIT_CONFIG_FILE, &content, &err);
    config->file_exists = r != TRUSTED_MISSING;
    config->file = xstrdup(config->search[config->file_exists ? i - 1 : 0]);
    if (r < 0)
        problems_add_error(build->problems, config->file, 0, &err);
    if (r != 0)
        return;
    config->text = xstrndup(content.data ? content.data : "", content.len);
    CLEANUP(document_free) struct document *document = document_new(config->file, buf_span(&content), build->problems);
    build_add_document(build, document);
}

static void read_text(struct config *config, struct build *build, const struct config_source *source) {
    config->file = xstrdup(source->text_file ? source->text_file : config->search[0]);
    config->text = xstrndup(source->text.data, source->text.len);
    config->file_exists = true;
    CLEANUP(document_free) struct document *document = document_new(config->file, source->text, build->problems);
    build_add_document(build, document);
}

/* Takes `search`. */
static struct config *read_new(const struct config_source *source, char **search, struct problems *problems) {
    struct config *config = xcalloc(1, sizeof(*config));
    CLEANUP(build_fini) struct build build = {0};

    build_init(&build, config, source, problems);
    config->search = search;
    if (source->text.data)
        read_text(config, &build, source);
    else
        read_file(config, &build);
    for (size_t i = 0; i < source->set_count; i++)
        build_add_set(&build, source->sets[i]);
    build_finish(&build);
    return config;
}

int config_load(struct config **ret_config, const struct config_source *source, config_problem_fn *problem, void *arg,
                struct theseus_error *err) {
    CLEANUP(problems_fini) struct problems problems = {0};
    char **search;

    if (place_config_files(source, &search, err) < 0)
        return -1;
    CLEANUP(config_free) struct config *config = read_new(source, search, &problems);
    if (problems_tell(&problems, problem, arg, err) < 0)
        return -1;
    *ret_config = TAKE_PTR(config);
    return 0;
}

/* Without any file. */
static int check_sets(const struct config_source *source, struct theseus_error *err) {
    CLEANUP(config_free) struct config *config = NULL;
    struct config_source alone = *source;

    alone.text = (struct span){"", 0};
    return config_load(&config, &alone, NULL, NULL, err);
}

int config_load_readable(struct config **ret_config, const struct config_source *source, config_problem_fn *problem,
                         void *arg, struct theseus_error *err) {
    CLEANUP(problems_fini) struct problems problems = {0};
    struct theseus_error told = {0};
    char **search;

    if (check_sets(source, err) < 0 || place_config_files(source, &search, err) < 0)
        return -1;
    *ret_config = read_new(source, search, &problems);
    return problems_tell(&problems, problem, arg, &told) < 0 ? CONFIG_IN_PART : 0;
}

struct config *config_free(struct config *config) {
    if (!config)
        return NULL;
    for (size_t i = 0; i < option_count; i++)
        option_fini(&option_table[i], config);
    config->plugin_sections = config_sections_free(config->plugin_sections, config->plugin_count);
    config->tool_sections = config_sections_free(config->tool_sections, config->tool_count);
    config->search = words_free(config->search);
    free(config->file);
    free(config->text);
    free(config);
    return NULL;
}
