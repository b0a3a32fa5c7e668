/* orchestrator_plan_task: a new task, with its parent and its prerequisites. */
#include "active.h"
#include "plan.h"
#include "session.h"
#include "tool.h"
#include "words.h"

const char plan_input[] = INPUT(
    TITLE ", \"description\": " STRING ", \"task_type\": {\"enum\": " WORDS_TASK_TYPE ", \"default\": \"standard\"}, "
          "\"parent_task_id\": " STRING ", \"complexity\": {\"enum\": " WORDS_COMPLEXITY
          ", \"default\": \"moderate\"}, \"specialist_type\": {\"enum\": " WORDS_SPECIALIST
          ", \"default\": \"generic\"}, \"estimated_effort\": {\"type\": \"string\", \"description\": \"such as 2 "
          "hours\"}, " DUE_DATE ", \"context\": {\"type\": \"object\", \"description\": \"what whoever does it "
          "should know\"}, \"dependencies\": {\"type\": \"array\", \"items\": " STRING
          ", \"description\": \"task_ids that must be completed before it starts\"}, " SESSION_ID,
    "\"title\", \"description\"");

const char plan_output[] =
    OUTPUT("\"task_id\": " STRING ", \"title\": " STRING ", \"status\": " STRING ", \"parent_task_id\": " STRING
           ", \"dependencies\": {\"type\": \"array\", \"items\": " STRING "}",
           "\"session_id\", \"task_id\", \"status\"");

static int answer(struct work *work, const struct plan *plan) {
    const char *title = work_string(work, "title"), *parent = work_string(work, "parent_task_id");
    json_t *dependencies = json_object_get(work->args, "dependencies");

    work->value = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:O*}", "session_id", work->session.session_id, "task_id",
                            plan->task_id, "title", title, "status", "pending", "parent_task_id", parent,
                            "dependencies", json_array_size(dependencies) > 0 ? dependencies : NULL);
    text_print(&work->text, "Planned %s: %s\nSession: %s", plan->task_id, title, work->session.session_id);
    return 0;
}

int tool_plan(struct work *work) {
    CLEANUP(plan_fini) struct plan plan = {.task = work->args};

    if (session_find_one(work) < 0 || plan_check(work, &plan) < 0 || plan_find(work, &plan) < 0 ||
        active_check(work, 1) < 0 || plan_make(work, &plan) < 0 || plan_link(work, &plan) < 0 ||
        session_touch(work) < 0)
        return -1;
    return answer(work, &plan);
}
