/* From the first line of the process to the loop of its first thread. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/child.h"
#include "plugin/contract.h"
#include "plugin/cord.h"
#include "plugin/image.h"
#include "plugin/inside.h"
#include "plugin/sandbox.h"
#include "plugin/testchild.h"
#include "store/store.h"

struct words {
    const char *file, *hash, *dir;
    size_t memory;
};

/* The cord came as standard input, which is nobody's from here on; nor is what this was executed from. */
static int take_cord(struct theseus_error *err) {
    int cord = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, CHILD_EXEC_FD + 1);
    CLEANUP(fd_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (cord < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0)
        return fail_errno(err, "cannot set up the descriptors of an isolated plugin");
    (void)close(CHILD_EXEC_FD);
    return cord;
}

static int enter(struct inside *inside, const struct words *words, struct theseus_error *err) {
    const struct sandbox_spec spec = {.dir = *words->dir ? words->dir : NULL, .memory = words->memory};

    if (chdir(spec.dir ? spec.dir : "/") < 0)
        return fail_errno(err, "cannot go to '%s'", spec.dir ? spec.dir : "/");
    return sandbox_enter(&spec, &inside->path_rules, err);
}

static json_t *slots_new(const struct theseus_plugin *slots) {
    return json_pack("{s:b, s:b, s:b, s:b, s:b}", "activate", slots->activate != NULL, "selftest",
                     slots->selftest != NULL, "check", slots->check != NULL, "configure", slots->configure != NULL,
                     "save", slots->save != NULL);
}

static json_t *text_or_null(const char *text) {
    return text ? channel_text_new(text) : NULL;
}

static json_t *resources_new(const struct theseus_resource *resource) {
    json_t *resources = json_array();

    for (; resource && resource->uri; resource++)
        (void)json_array_append_new(
            resources, json_pack("{s:o, s:o*, s:o*, s:o*, s:o*}", "uri", channel_text_new(resource->uri), "name",
                                 text_or_null(resource->name), "title", text_or_null(resource->title), "description",
                                 text_or_null(resource->description), "mime_type", text_or_null(resource->mime_type)));
    return resources;
}

static json_t *description_new(const struct inside *inside) {
    const struct theseus_plugin *slots = inside->slots;
    json_t *tools = json_array();

    for (const struct theseus_tool *tool = slots->tools; tool && tool->name; tool++)
        (void)json_array_append_new(tools, inside_tool_new_description(tool));
    return json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:I, s:o, s:o, s:o, s:i}", "name", slots->name, "version",
                     slots->version, "description", slots->description, "config_schema", slots->config_schema,
                     "sections", slots->sections, "flags", (json_int_t)slots->flags, "slots", slots_new(slots), "tools",
                     tools, "resources", resources_new(slots->resources), "path_rules", inside->path_rules);
}

static int load(struct inside *inside, const struct words *words, struct theseus_error *err) {
    struct tool **tools;
    size_t count;

    if (image_adopt(&inside->image, words->file, words->file, words->hash, err) < 0)
        return -1;
    image_keep_file(inside->image);
    if (image_load(inside->image, err) < 0)
        return -1;
    inside->slots = image_plugin(inside->image);
    if (contract_check(inside->slots, &tools, &count, err) < 0)
        return -1;
    contract_tools_free(tools, count);
    inside_tools_init(inside);
    inside->description = description_new(inside);
    return inside->description ? 0 : fail(err, ERR_MEMORY, "cannot be described");
}

/* Until the server goes. */
static void listen_to_cord(struct inside *inside) {
    struct cord_news news;

    for (;;) {
        switch (cord_receive(inside->control, &news, NULL)) {
        case CORD_CHANNEL:
            inside_begin_serving(inside, news.fd);
            break;
        case CORD_RELEASE:
            inside_tool_release(inside, news.tool);
            break;
        default:
            return;
        }
    }
}

int inside_main(char *const *argv) {
    const struct words words = {argv[0], argv[1], argv[2], (size_t)strtoull(argv[3], NULL, 10)};
    struct inside *inside = xcalloc(1, sizeof(*inside)); /* for the life of the process */
    int out = testchild_begin();

    json_set_alloc_funcs(try_malloc, free); /* which have a reserve */
    (void)close(out);                       /* nothing is said there: the cord is what answers go over */
    inside->ctx.host = &inside_host;
    inside->past_configs = json_array();
    (void)pthread_mutex_init(&inside->lock, NULL);
    list_init(&inside->tools);
    list_init(&inside->threads);
    list_init(&inside->channels);
    inside->control = take_cord(&inside->trouble);
    if (inside->control < 0)
        _exit(EXIT_FAILURE);
    if (enter(inside, &words, &inside->trouble) == 0) {
        inside_crash_arm(inside->control);
        (void)!load(inside, &words, &inside->trouble);
    }
    if (*words.dir)
        inside->store = store_new("state.db");
    listen_to_cord(inside);
    _exit(EXIT_SUCCESS); /* destructors of plugins do not run */
}
