/* orchestrator_maintenance_coordinator: what is wrong, mending it, and the hand-over file. */
#include <string.h>

#include "handover.h"
#include "scan.h"
#include "session.h"
#include "task.h"
#include "tool.h"
#include "words.h"

const char maintenance_input[] =
    INPUT("\"action\": {\"enum\": [\"scan_cleanup\", \"validate_structure\", \"update_documentation\", "
          "\"prepare_handover\"], \"description\": \"scan_cleanup finds and mends; validate_structure only finds; "
          "update_documentation rewrites the session's hand-over file; prepare_handover answers it too\"}, "
          "\"scope\": {\"enum\": [\"current_session\", \"full_project\", \"specific_subtask\"], \"default\": "
          "\"current_session\", \"description\": \"full_project: every session of its directory\"}, "
          "\"validation_level\": {\"enum\": [\"basic\", \"comprehensive\", \"full_audit\"], \"default\": \"basic\"}, "
          "\"target_task_id\": {\"type\": \"string\", \"description\": \"for specific_subtask: this task and all below "
          "it\"}, " SESSION_ID,
          "\"action\"");
const char maintenance_output[] =
    OUTPUT("\"action\": " STRING ", \"scope\": " STRING ", \"validation_level\": " STRING ", \"problems\": " LIST
           ", \"found\": " INTEGER ", \"mended\": " INTEGER ", \"path\": " STRING ", \"markdown\": " STRING,
           "\"session_id\", \"action\"");

enum { MARKDOWN_SHOWN = 16000 };

static size_t position(const char *word, const char *const *words) {
    size_t i = 0;

    while (word && words[i] && strcmp(word, words[i]) != 0)
        i++;
    return word && words[i] ? i : 0;
}

static const char *const scopes[] = {"current_session", "full_project", "specific_subtask", NULL};
static const char *const levels[] = {"basic", "comprehensive", "full_audit", NULL};

static int choose_scope(struct work *work, struct scan *scan) {
    const char *target = work_string(work, "target_task_id");
    struct task task;

    scan->scope = (enum scan_scope)position(work_string(work, "scope"), scopes);
    if (scan->scope == SCAN_TREE && !target)
        return work_refuse(work, "scope specific_subtask needs target_task_id");
    if (target && task_get(work, target, &task) < 0)
        return -1;
    if (target && scan->scope != SCAN_TREE)
        return work_refuse(work, "target_task_id needs scope specific_subtask; with %s it would not be looked at",
                           scopes[scan->scope]);
    scan->id = target ? task.id : work->session.id;
    return 0;
}

static void print_problems(struct text *into, const json_t *problems) {
    const json_t *problem;
    size_t i;

    json_array_foreach (problems, i, problem) {
        const char *task_id = json_string_value(json_object_get(problem, "task_id"));
        text_print(into, "%s: %s%s%s%s\n", json_string_value(json_object_get(problem, "kind")), task_id ? task_id : "",
                   task_id ? ": " : "", json_string_value(json_object_get(problem, "text")),
                   json_is_true(json_object_get(problem, "mended")) ? " – mended" : "");
    }
}

static int run_scan(struct work *work, struct scan *scan, const char *action) {
    if (choose_scope(work, scan) < 0 || scan_run(scan) < 0)
        return -1;
    print_problems(&work->text, scan->problems);
    text_print(&work->text, "%lld found, %lld mended. Session: %s", (long long)scan->found, (long long)scan->mended,
               work->session.session_id);
    work->value = json_pack("{s:s, s:s, s:s, s:s, s:O, s:I, s:I}", "session_id", work->session.session_id, "action",
                            action, "scope", scopes[scan->scope], "validation_level", levels[scan->level], "problems",
                            scan->problems, "found", (json_int_t)scan->found, "mended", (json_int_t)scan->mended);
    return work->value ? 0 : work_no_memory(work);
}

static int scan(struct work *work, const char *action) {
    struct scan scan = {.work = work,
                        .level = (enum scan_level)position(work_string(work, "validation_level"), levels),
                        .mends = strcmp(action, "scan_cleanup") == 0,
                        .problems = json_array()};
    int r = scan.problems ? run_scan(work, &scan, action) : work_no_memory(work);

    json_decref(scan.problems);
    return r;
}

static int hand_over(struct work *work, const char *action) {
    CLEANUP(text_fini) struct text markdown = {0}, path = {0};
    bool shows = strcmp(action, "prepare_handover") == 0;

    if (work_string(work, "target_task_id"))
        return work_refuse(work, "%s is about the whole session, and takes no target_task_id", action);
    if (handover_print(work, &markdown) < 0 || handover_write(work, &markdown, &path) < 0)
        return -1;
    size_t len = text_fitting(markdown.data, MARKDOWN_SHOWN);
    work->value =
        json_pack("{s:s, s:s, s:s}", "session_id", work->session.session_id, "action", action, "path", path.data);
    if (!work->value || (shows && json_object_set_new(work->value, "markdown", json_stringn(markdown.data, len)) < 0))
        return work_no_memory(work);
    text_print(&work->text, "The hand-over is %s\n%.*s", path.data, shows ? (int)len : 0, markdown.data);
    return 0;
}

int tool_maintenance(struct work *work) {
    const char *action = work_string(work, "action");
    int r = session_find_one(work);

    if (r != 0)
        return r;
    if (strcmp(action, "validate_structure") == 0)
        return scan(work, action);
    if (!work->writing)
        return WORK_MUST_WRITE;
    return strcmp(action, "scan_cleanup") == 0 ? scan(work, action) : hand_over(work, action);
}
