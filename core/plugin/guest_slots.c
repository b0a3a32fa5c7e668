/* The slots of an isolated plugin: functions of ours that ask its process. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/generation.h"
#include "plugin/guest_inner.h"
#include "plugin/host.h"
#include "plugin/registry.h"

/* ---- asking ---- */

struct slot_asker {
    struct guest_asker asker;
    struct channel_user user;
    int64_t until_ns;
};

static json_t *serve(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    struct slot_asker *asker = arg;

    return guest_serve(&asker->asker, channel, &asker->user, verb, message);
}

static bool gives_up(void *arg) {
    const struct slot_asker *asker = arg;

    return clock_now_ns() > asker->until_ns;
}

/* Why there is no answer: the process is done for. */
static int ended(struct guest *guest, struct process *process, int outcome, struct theseus_error *err) {
    struct theseus_error damage = *err;

    process_kill(process, outcome == CHANNEL_GIVEN_UP ? guest_slot_hang
                          : outcome == CHANNEL_ENDED  ? guest_closed
                                                      : guest_nonsense);
    process_wait(process);
    *err = (struct theseus_error){0};
    if (outcome == CHANNEL_GIVEN_UP)
        return fail(err, ERR_TIMEOUT, "did not come back within %d ms", guest->spec.limit_ms);
    if (outcome < 0)
        return fail(err, ERR_INVALID, "%s", damage.message);
    return fail(err, ERR_INVALID, "%s", process->end_text);
}

/* Steals `question`. */
static int ask(struct guest *guest, struct process *process, json_t *question, json_t **ret_answer,
               struct theseus_error *err) {
    struct slot_asker asker = {.asker = {guest, process},
                               .user = {.serve = serve, .gives_up = gives_up, .arg = &asker},
                               .until_ns = clock_now_ns() + (int64_t)guest->spec.limit_ms * 1000000};
    CLEANUP(channel_free) struct channel *channel = NULL;
    json_t *answer = NULL;

    if (process_take_channel(process, &channel, err) < 0) {
        json_decref(question);
        *err = (struct theseus_error){0};
        return ended(guest, process, CHANNEL_ENDED, err);
    }
    int r = channel_ask(channel, question, &asker.user, &answer, err);
    if (r == 0 || r == CHANNEL_REFUSED)
        process_put_channel(process, TAKE_PTR(channel));
    if (r == CHANNEL_REFUSED)
        return -1;
    if (r != 0)
        return ended(guest, process, r, err);
    if (ret_answer)
        *ret_answer = answer;
    else
        json_decref(answer);
    return 0;
}

/* The same of whatever process serves. */
static int ask_slot(struct guest *guest, json_t *question, json_t **ret_answer, struct theseus_error *err) {
    struct process *process = guest_take_process(guest, err);

    if (!process) {
        json_decref(question);
        return -1;
    }
    (void)pthread_mutex_lock(&guest->slots_lock);
    int r = ask(guest, process, question, ret_answer, err);
    (void)pthread_mutex_unlock(&guest->slots_lock);
    (void)process_unref(process);
    return r;
}

static json_t *question_new(const char *slot) {
    return json_pack("{s:s}", "ask", slot);
}

static json_t *config_question_new(const char *slot, const json_t *config) {
    return json_pack("{s:s, s:O?}", "ask", slot, "config", config);
}

static json_t *start_question_new(const struct guest *guest, bool with_saved) {
    const struct theseus_ctx *ctx = guest->ctx;

    return json_pack("{s:s, s:O?, s:O?}", "ask", "start", "config", host_table.config(ctx), "saved",
                     with_saved ? host_table.saved(ctx) : NULL);
}

/* ---- the slots ---- */

/* What belongs to the generation is ours from the beginning: see generation_new(). */
static struct guest *guest_of(const struct theseus_ctx *ctx) {
    return container_of((struct theseus_ctx *)(uintptr_t)ctx, struct generation, ctx)->self;
}

static int guest_start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    struct guest *guest = guest_of(ctx);

    (void)ret_self;
    guest->ctx = ctx;
    if (ask_slot(guest, start_question_new(guest, true), NULL, err) < 0)
        return -1;
    return guest_mark_started(guest, err);
}

static int guest_activate(void *self, struct theseus_error *err) {
    struct guest *guest = self;

    if (ask_slot(guest, question_new("activate"), NULL, err) < 0)
        return -1;
    guest->activated = true;
    return 0;
}

static int guest_selftest(void *self, struct theseus_error *err) {
    return ask_slot(self, question_new("selftest"), NULL, err);
}

static int guest_check(void *self, const json_t *config, struct theseus_error *err) {
    return ask_slot(self, config_question_new("check", config), NULL, err);
}

static int guest_configure(void *self, const json_t *config, struct theseus_error *err) {
    return ask_slot(self, config_question_new("configure", config), NULL, err);
}

static json_t *guest_save(void *self) {
    struct guest *guest = self;
    struct theseus_error err = {0};
    json_t *saved = NULL;

    if (guest_is_over(guest))
        return NULL; /* which is known: its state went with its process */
    if (ask_slot(guest, question_new("save"), &saved, &err) < 0)
        log_error("plugin '%s': save: %s; what it had is lost", guest->slots.name, err.message);
    return saved;
}

static void guest_stop(void *self) {
    struct guest *guest = self;
    struct theseus_error err = {0};

    if (!guest_is_over(guest) && ask_slot(guest, question_new("stop"), NULL, &err) < 0)
        log_info("plugin '%s': stop: %s", guest->slots.name, err.message);
}

/* ---- the description ---- */

int guest_describe(struct guest *guest, struct process *process, json_t **ret_description, struct theseus_error *err) {
    json_t *description = NULL;

    if (ask(guest, process, question_new("describe"), &description, err) < 0)
        return -1;
    json_t *rules = json_object_get(description, "path_rules");
    guest->path_rules = (int)json_integer_value(rules);
    if (!json_is_object(description)) {
        json_decref(description);
        return fail(err, ERR_INVALID, "its process does not say what it has loaded");
    }
    *ret_description = description;
    return 0;
}

static bool has(const struct guest *guest, const char *slot) {
    return json_is_true(json_object_get(json_object_get(guest->description, "slots"), slot));
}

static size_t count_of(const struct guest *guest, const char *what) {
    return json_array_size(json_object_get(guest->description, what));
}

static int declare(struct guest *guest, size_t at, const char *name, struct theseus_error *err) {
    if (!name)
        return fail(err, ERR_INVALID, "its process describes what has no name");
    guest->declared[at] = (struct guest_tool){.guest = guest, .name = xstrdup(name), .id = (json_int_t)at};
    return 0;
}

static int fill_tools(struct guest *guest, struct theseus_error *err) {
    const json_t *tools = json_object_get(guest->description, "tools"), *tool;
    size_t i;

    guest->tools = xcalloc(count_of(guest, "tools") + 1, sizeof(*guest->tools));
    json_array_foreach (tools, i, tool) {
        if (declare(guest, i, channel_text(tool, "name"), err) < 0)
            return -1;
        guest_tool_fill(&guest->tools[i], tool, &guest->declared[i]);
    }
    return 0;
}

static int fill_resources(struct guest *guest, struct theseus_error *err) {
    const json_t *resources = json_object_get(guest->description, "resources"), *resource;
    const size_t behind = count_of(guest, "tools");
    size_t i;

    guest->resources = xcalloc(count_of(guest, "resources") + 1, sizeof(*guest->resources));
    json_array_foreach (resources, i, resource) {
        if (declare(guest, behind + i, channel_text(resource, "uri"), err) < 0)
            return -1;
        guest->resources[i] = (struct theseus_resource){.uri = channel_text(resource, "uri"),
                                                        .name = channel_text(resource, "name"),
                                                        .title = channel_text(resource, "title"),
                                                        .description = channel_text(resource, "description"),
                                                        .mime_type = channel_text(resource, "mime_type"),
                                                        .read = guest_call_run};
    }
    return 0;
}

static int fill_tables(struct guest *guest, struct theseus_error *err) {
    const size_t count = count_of(guest, "tools") + count_of(guest, "resources");

    guest->declared = xcalloc(count + 1, sizeof(*guest->declared));
    guest->declared_count = count;
    return fill_tools(guest, err) < 0 || fill_resources(guest, err) < 0 ? -1 : 0;
}

int guest_fill_slots(struct guest *guest, struct theseus_error *err) {
    const json_t *description = guest->description;

    if (fill_tables(guest, err) < 0)
        return -1;
    guest->memory_text = xasprintf("its memory of %zu MiB was used up ([plugin:%s] .memory)", guest->spec.memory >> 20,
                                   channel_text(description, "name"));
    guest->slots = (struct theseus_plugin){
        .abi = THESEUS_ABI,
        .size = sizeof(struct theseus_plugin),
        .name = channel_text(description, "name"),
        .version = channel_text(description, "version"),
        .description = channel_text(description, "description"),
        .config_schema = channel_text(description, "config_schema"),
        .sections = channel_text(description, "sections"),
        .start = guest_start,
        .activate = has(guest, "activate") ? guest_activate : NULL,
        .selftest = has(guest, "selftest") ? guest_selftest : NULL,
        .check = has(guest, "check") ? guest_check : NULL,
        .configure = has(guest, "configure") ? guest_configure : NULL,
        .save = has(guest, "save") ? guest_save : NULL,
        .stop = guest_stop,
        .tools = guest->tools,
        .resources = guest->resources,
        .flags = (unsigned)json_integer_value(json_object_get(description, "flags")),
    };
    return 0;
}

/* ---- after a crash ---- */

/* The names of what it had added; owned. */
static json_t *added_names_new(struct guest *guest) {
    json_t *names = json_array();

    (void)pthread_mutex_lock(&guest->lock);
    list_for_each (link, &guest->added)
        (void)json_array_append_new(names, json_string(list_entry(link, struct guest_tool, link)->name));
    (void)pthread_mutex_unlock(&guest->lock);
    return names;
}

static void remove_added(struct guest *guest) {
    json_auto_t *names = added_names_new(guest);
    const json_t *name;
    size_t i;

    json_array_foreach (names, i, name)
        (void)host_table.tool_remove(guest->ctx, json_string_value(name));
}

/* One after the other what the host has done. Its state of before is what the crash has cost. */
static int begin_again(struct guest *guest, struct process *process, struct theseus_error *err) {
    json_auto_t *description = NULL;

    if (guest_describe(guest, process, &description, err) < 0)
        return -1;
    if (!json_equal(description, guest->description))
        return fail(err, ERR_INVALID, "it describes itself otherwise than before");
    remove_added(guest);
    if (ask(guest, process, start_question_new(guest, false), NULL, err) < 0)
        return error_prefix(err, "start: ");
    if (guest->slots.selftest && ask(guest, process, question_new("selftest"), NULL, err) < 0)
        return error_prefix(err, "selftest: ");
    if (guest->activated && ask(guest, process, question_new("activate"), NULL, err) < 0)
        return error_prefix(err, "activate: ");
    return 0;
}

int guest_revive(struct guest *guest, struct process *process, struct theseus_error *err) {
    struct generation *generation = container_of(guest->ctx, struct generation, ctx);
    const struct plugin_host *host = generation->host;

    (void)pthread_mutex_lock(&guest->slots_lock);
    guest_record(guest, process);
    registry_begin_change(host->registry, generation);
    int r = begin_again(guest, process, err);
    registry_end_change(host->registry, generation, r == 0);
    (void)pthread_mutex_unlock(&guest->slots_lock);
    if (r == 0 && atomic_load(&generation->offering))
        loop_post(host->loop, host->tools_touched, host->arg);
    return r;
}
