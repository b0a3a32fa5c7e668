/*
 * Tasks: plans of work that outlive everything.
 *
 * Each tool is a function on one run of it (work.h). Those that only read are run on a worker, in a transaction of its
 * connection, so that an answer is of one moment. Those that write are queued on the loop thread and run by the one
 * thread that writes (writer.h). Everything that lasts is in the database, and two generations of this plugin, or two
 * servers, may be at work on it at once.
 */
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

#include "artifact.h"
#include "import.h"
#include "queue.h"
#include "resource.h"
#include "schema.h"
#include "spares.h"
#include "sql.h"
#include "tool.h"
#include "watch.h"
#include "work.h"
#include "writer.h"

/* ---- settings ---- */

static const char config_schema[] =
    "{\"type\": \"object\", \"properties\": {"
    "\"durability\": {\"type\": \"string\", \"enum\": [\"full\", \"normal\"], \"default\": \"full\", \"description\": \"full: "
    "what was answered survives power loss; normal: it survives the end of every process, and power loss may cost the "
    "last moments\"}, "
    "\"max_active\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 100000000, \"default\": 1000, "
    "\"description\": \"so many tasks of a session may be open at a time; 0: any number\"}, "
    "\"archive_after\": {\"type\": \"string\", \"pattern\": \"^(0|[1-9][0-9]{0,4}[smhd])$\", \"default\": \"30d\", "
    "\"description\": \"tasks that are over, and unchanged for so long (90s, 30m, 12h, 7d), are archived; 0: never\"}}}";

static bool is_full(const json_t *config) {
    const char *durability = json_string_value(json_object_get(config, "durability"));

    return !durability || strcmp(durability, "full") == 0;
}

/* The schema has seen to its form. */
static int64_t duration_ms(const char *text) {
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60 * 1000}, {'h', 3600 * 1000}, {'d', 24 * 3600 * 1000}};
    char *unit = NULL;
    int64_t count = text ? strtoll(text, &unit, 10) : 0;

    for (size_t i = 0; count && i < sizeof(units) / sizeof(units[0]); i++)
        if (*unit == units[i].unit)
            return count * units[i].ms;
    return 0;
}

static void take_settings(struct tasks *tasks, const json_t *config) {
    atomic_store(&tasks->is_full, is_full(config));
    atomic_store(&tasks->max_active, json_integer_value(json_object_get(config, "max_active")));
    atomic_store(&tasks->archive_after_ms, duration_ms(json_string_value(json_object_get(config, "archive_after"))));
}

/* ---- life ---- */

/* What the filer does: the file, and then the row. */
static void file(struct work *work) {
    if (theseus_cancelled(work->call) || work->kind->prepare(work) < 0)
        (void)work_reply(work);
    else
        (void)writer_submit(work->tasks->writer, work);
}

static void answer(struct work *work) {
    (void)work_reply(work);
}

static void stop(void *self) {
    struct tasks *tasks = self;

    if (!tasks)
        return;
    tasks->filer = queue_free(tasks->filer); /* each hands on to the next */
    tasks->writer = writer_free(tasks->writer);
    tasks->watch = watch_free(tasks->watch);
    tasks->answerer = queue_free(tasks->answerer);
    tasks->spares = spares_free(tasks->spares);
    free(tasks);
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    struct tasks *tasks = calloc(1, sizeof(*tasks));

    if (!tasks)
        return theseus_fail(err, "there is no memory");
    tasks->ctx = ctx;
    tasks->spares = spares_new();
    tasks->watch = watch_new(tasks);
    tasks->writer = writer_new(tasks);
    tasks->filer = queue_new(tasks, file);
    tasks->answerer = queue_new(tasks, answer);
    if (!tasks->spares || !tasks->watch || !tasks->writer || !tasks->filer || !tasks->answerer) {
        stop(tasks);
        return theseus_fail(err, "there is no memory");
    }
    take_settings(tasks, theseus_config(ctx));
    *ret_self = tasks;
    return 0;
}

static int configure(void *self, const json_t *config, struct theseus_error *err) {
    struct tasks *tasks = self;

    (void)err;
    take_settings(tasks, config);
    return 0;
}

static void subscribed(void *self, const char *uri, bool on) {
    watch_set(((struct tasks *)self)->watch, uri, on);
}

/* ---- calls ---- */

/* From the loop thread: nothing of it blocks. */
static int write_call(struct theseus_call *call, void *self, const json_t *args) {
    struct tasks *tasks = self;
    struct work *work = work_new(tasks, call, args);

    if (!work)
        return theseus_reply_error(call, "there is no memory for this call");
    return work_check_texts(work) < 0 ? work_reply(work) : writer_submit(tasks->writer, work);
}

static int submit_for_filing(struct tasks *tasks, struct work *work) {
    if (queue_submit(tasks->filer, work))
        return THESEUS_LATER;
    (void)work_refuse(work, "there is no thread to write the file with: %s", theseus_last_error(work->call->host));
    return work_reply(work);
}

/* The same, behind what the filer does: files and other databases are not read by who must not wait. */
static int file_call(struct theseus_call *call, void *self, const json_t *args) {
    struct tasks *tasks = self;
    struct work *work = work_new(tasks, call, args);

    if (!work)
        return theseus_reply_error(call, "there is no memory for this call");
    return work_check_texts(work) < 0 ? work_reply(work) : submit_for_filing(tasks, work);
}

/* The same, but only what is large goes to the disk first. */
static int complete_call(struct theseus_call *call, void *self, const json_t *args) {
    struct tasks *tasks = self;
    struct work *work = work_new(tasks, call, args);

    if (!work)
        return theseus_reply_error(call, "there is no memory for this call");
    if (work_check_texts(work) < 0)
        return work_reply(work);
    if (artifact_needs_file(json_object_get(args, "detailed_work")))
        return submit_for_filing(tasks, work);
    return writer_submit(tasks->writer, work);
}

/* In a transaction, so that everything in the answer is of one moment. */
static int run_reading(struct work *work) {
    struct work closing = {.tasks = work->tasks};

    if (sql_run(work, "BEGIN", "") < 0)
        return -1;
    int r = work->kind->run(work);
    if (r == 0)
        r = work_finish(work);
    (void)sql_run(&closing, "ROLLBACK", ""); /* there is nothing to keep */
    return r;
}

static int read_call(struct theseus_call *call, void *self, const json_t *args) {
    struct tasks *tasks = self;
    struct work *work = work_new(tasks, call, args);

    if (!work)
        return theseus_reply_error(call, "there is no memory for this call");
    if (work_check_texts(work) < 0 || run_reading(work) != WORK_MUST_WRITE)
        return work_reply(work);
    work_reset(work);
    return writer_submit(tasks->writer, work);
}

/* ---- the table ---- */

#define KIND(name, ...) static const struct work_kind name##_kind = {.run = tool_##name, __VA_ARGS__}

KIND(initialize);
KIND(list_sessions);
KIND(resume);
KIND(session_status);
KIND(cleanup);
KIND(plan);
KIND(update);
KIND(delete);
KIND(cancel);
KIND(query);
KIND(execute);
KIND(complete, .prepare = tool_complete_prepare);
KIND(synthesize);
KIND(status);
KIND(maintenance);
KIND(import, .prepare = tool_import_prepare, .release = import_free);
KIND(template_list);
KIND(template_load);
KIND(template_create);
KIND(template_validate);
KIND(template_delete);
KIND(template_instantiate);

#define READS(name) .flags = THESEUS_READ_ONLY, .call = read_call, .data = (void *)&name##_kind, SCHEMAS(name)
/* A call that is run again does nothing again: its answer is stored with what it did. */
#define WRITES(name) \
    .flags = THESEUS_IDEMPOTENT | THESEUS_INLINE, .call = write_call, .data = (void *)&name##_kind, SCHEMAS(name)
/* The same, but another call with the same arguments makes another one. */
#define MAKES(name)                                                                                                 \
    .flags = THESEUS_IDEMPOTENT | THESEUS_KEYED | THESEUS_INLINE, .call = write_call, .data = (void *)&name##_kind, \
    SCHEMAS(name)
#define DESTROYS(name)                                                                      \
    .flags = THESEUS_DESTRUCTIVE | THESEUS_IDEMPOTENT | THESEUS_INLINE, .call = write_call, \
    .data = (void *)&name##_kind, SCHEMAS(name)
#define SCHEMAS(name) .input_schema = name##_input, .output_schema = name##_output

static const struct theseus_tool tools[] = {
    {.name = "orchestrator_initialize_session",
     .title = "Begin a session",
     .description =
         "Use this to begin a new piece of work in a directory. Its tasks are kept apart from those of other "
         "sessions; to go on with earlier work use orchestrator_resume_session instead.",
     MAKES(initialize)},
    {.name = "orchestrator_list_sessions",
     .title = "List sessions",
     .description = "Use this to find an earlier session of this directory, the one that was used last first.",
     READS(list_sessions)},
    {.name = "orchestrator_resume_session",
     .title = "Resume a session",
     .description = "Use this to go on with an earlier session: it becomes the one in use, and its open tasks are "
                    "answered.",
     WRITES(resume)},
    {.name = "orchestrator_session_status",
     .title = "Status of a session",
     .description = "Use this to see how far a session is, without changing which one is in use.",
     READS(session_status)},
    {.name = "orchestrator_cleanup_sessions",
     .title = "Put sessions away",
     .description = "Use this to archive sessions that are completed, orphaned or old. By default it only says which.",
     DESTROYS(cleanup)},
    {.name = "orchestrator_plan_task",
     .title = "Plan a task",
     .description = "Use this to plan one task, if need be as a part of another (parent_task_id) or behind others "
                    "(dependencies). It is pending until orchestrator_execute_task.",
     MAKES(plan)},
    {.name = "orchestrator_update_task",
     .title = "Update a task",
     .description = "Use this to change what is said of a task, or its status where the rules allow that.",
     WRITES(update)},
    {.name = "orchestrator_delete_task",
     .title = "Archive or delete a task",
     .description = "Use this to archive a task, or with archive_instead = false to delete it for good.",
     DESTROYS(delete)},
    {.name = "orchestrator_cancel_task",
     .title = "Cancel a task",
     .description = "Use this when a task is not to be done after all. Its work is kept unless preserve_work is false.",
     DESTROYS(cancel)},
    {.name = "orchestrator_query_tasks",
     .title = "Find tasks",
     .description = "Use this to find tasks by status, kind, parent, age or words in them, in pages.",
     READS(query)},
    {.name = "orchestrator_execute_task",
     .title = "Begin a task",
     .description = "Use this before working on a task: it answers the task, its context, what its prerequisites "
                    "produced and instructions, and sets it in_progress.",
     WRITES(execute)},
    {.name = "orchestrator_complete_task",
     .title = "Hand in work on a task",
     .description = "Use this when work on a task is done, or has come to a stop: the work is stored, and next_action "
                    "decides what becomes of the task.",
     .flags = THESEUS_IDEMPOTENT | THESEUS_KEYED | THESEUS_INLINE,
     .call = complete_call,
     .data = (void *)&complete_kind,
     SCHEMAS(complete)},
    {.name = "orchestrator_synthesize_results",
     .title = "Put results together",
     .description = "Use this to put together what the children of a task have produced.",
     READS(synthesize)},
    {.name = "orchestrator_get_status",
     .title = "Status of the work",
     .description = "Use this to see what is open and how far the work is, or everything about one task.",
     READS(status)},
    {.name = "orchestrator_maintenance_coordinator",
     .title = "Maintain tasks",
     .description =
         "Use this to check tasks for what is wrong and mend it, or to write a hand-over for whoever goes on.",
     .flags = THESEUS_IDEMPOTENT,
     .call = read_call,
     .data = (void *)&maintenance_kind,
     SCHEMAS(maintenance)},
    {.name = "template_list",
     .title = "List templates",
     .description = "Use this to find a template for work that is done again and again: a feature, a bug fix, a "
                    "release, research, an incident, and what was stored with template_create.",
     READS(template_list)},
    {.name = "template_load",
     .title = "Show a template",
     .description = "Use this to see the parameters and tasks of a template, or as a pattern for another one.",
     READS(template_load)},
    {.name = "template_create",
     .title = "Store a template",
     .description = "Use this to keep a plan that will be needed again as a template with parameters.",
     WRITES(template_create)},
    {.name = "template_validate",
     .title = "Check a template",
     .description = "Use this to find everything that is wrong with a template before it is stored.",
     READS(template_validate)},
    {.name = "template_delete",
     .title = "Delete a template",
     .description = "Use this to remove a template that was stored; tasks that were made from it stay.",
     DESTROYS(template_delete)},
    {.name = "template_instantiate",
     .title = "Plan from a template",
     .description = "Use this to plan all tasks of a template at once. By default it only shows what would be made; "
                    "create_tasks = true makes it.",
     .flags = THESEUS_IDEMPOTENT | THESEUS_KEYED,
     .call = read_call,
     .data = (void *)&template_instantiate_kind,
     SCHEMAS(template_instantiate)},
    {.name = "orchestrator_import",
     .title = "Import from the original system",
     .description = "Use this to take over the tasks of the original system's database, tasks.sqlite.",
     .flags = THESEUS_IDEMPOTENT | THESEUS_INLINE | THESEUS_HIDDEN,
     .call = file_call,
     .data = (void *)&import_kind,
     SCHEMAS(import)},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "tasks",
    .version = "1.0.0",
    .description = "Plans of work: sessions, tasks, what was worked out for them, and what is next.",
    .start = start,
    .configure = configure,
    .stop = stop,
    .config_schema = config_schema,
    .migrations = schema_steps,
    .tools = tools,
    .flags = THESEUS_SHARED_STATE | THESEUS_SCHEMA_ON_USE,
    .resources = resources,
    .subscribed = subscribed,
};
