/* The *.ini files of a plugin directory. */
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "config/section.h"
#include "config/trusted.h"

/* Sections on their way out; freed with their count. */
struct sections {
    struct config_section *list;
    size_t count;
};

static void sections_fini_cleanup(struct sections *sections) {
    (void)config_sections_free(sections->list, sections->count);
}

static void add(struct sections *sections, const struct document *document, struct problems *problems) {
    for (const struct document_section *from = document->sections; from < document->sections + document->count; from++)
        if (!section_behind(from->name, "tool"))
            problems_add(problems, document->file, from->line,
                         "[%s]: a file in a plugin directory holds [tool:NAME] sections only; the others belong in "
                         "theseus.ini",
                         from->name);
        else if (section_check_name(from, document->file, problems))
            sections_put(&sections->list, &sections->count, from, document->file);
    sections_sort(sections->list, sections->count);
}

static void read_file(const char *path, struct sections *sections, struct problems *problems) {
    CLEANUP(buf_fini) struct buf content = {0};
    struct theseus_error err = {0};
    int r = trusted_read(path, TRUSTED_PUBLIC, LIMIT_CONFIG_FILE, &content, &err);

    if (r == TRUSTED_MISSING)
        (void)fail(&err, ERR_MISSING, "the file '%s' does not exist", path);
    if (r != 0) {
        problems_add_error(problems, path, 0, &err);
        return;
    }
    CLEANUP(document_free) struct document *document = document_new(path, buf_span(&content), problems);
    add(sections, document, problems);
}

int config_load_tools_file(const char *path, struct config_section **ret_sections, size_t *ret_count,
                           config_problem_fn *problem, void *arg, struct theseus_error *err) {
    CLEANUP(sections_fini) struct sections sections = {0};
    CLEANUP(problems_fini) struct problems problems = {0};
    CLEANUP(free) char *here = getcwd(NULL, 0);
    CLEANUP(free) char *absolute = path_absolute(here ? here : "/", path);

    read_file(absolute, &sections, &problems);
    if (problems_tell(&problems, problem, arg, err) < 0)
        return -1;
    *ret_count = sections.count;
    *ret_sections = TAKE_PTR(sections.list);
    sections.count = 0;
    return 0;
}
