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

/* `of_file` and `of_sets` may be the same: then nothing of it is finished that has a mistake. */
static struct config *read_new(const struct config_source *source, char **search, struct problems *of_file,
                               struct problems *of_sets) {
    struct config *config = xcalloc(1, sizeof(*config));
    CLEANUP(build_fini) struct build build = {0};

    build_init(&build, config, source, of_file);
    config->search = search;
    if (source->text.data)
        read_text(config, &build, source);
    else
        read_file(config, &build);
    build.problems = of_sets;
    for (size_t i = 0; i < source->set_count; i++)
        build_add_set(&build, source->sets[i]);
    build.problems = of_file;
    if (of_sets->count == 0)
        build_finish(&build);
    return config;
}

int config_load(struct config **ret_config, const struct config_source *source, config_problem_fn *problem, void *arg,
                struct theseus_error *err) {
    CLEANUP(problems_fini) struct problems problems = {0};
    char **search;

    if (place_config_files(source, &search, err) < 0)
        return -1;
    CLEANUP(config_free) struct config *config = read_new(source, search, &problems, &problems);
    if (problems_tell(&problems, problem, arg, err) < 0)
        return -1;
    *ret_config = TAKE_PTR(config);
    return 0;
}

int config_load_readable(struct config **ret_config, const struct config_source *source, config_problem_fn *problem,
                         void *arg, struct theseus_error *err) {
    CLEANUP(problems_fini) struct problems of_file = {0};
    CLEANUP(problems_fini) struct problems of_sets = {0};
    struct theseus_error ignored = {0};
    char **search;

    if (place_config_files(source, &search, err) < 0)
        return -1;
    CLEANUP(config_free) struct config *config = read_new(source, search, &of_file, &of_sets);
    if (problems_tell(&of_sets, NULL, NULL, err) < 0)
        return -1;
    *ret_config = TAKE_PTR(config);
    return problems_tell(&of_file, problem, arg, &ignored) < 0 ? CONFIG_IN_PART : 0;
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
