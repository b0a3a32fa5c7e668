/* Questions about tasks: answered from what there is here, else by the database. */
#include <stdlib.h>
#include <string.h>

#include "server/mcp_task_words.h"
#include "server/mcp_tasks_inner.h"

enum { LOOKS = 5 };

enum asked { ASKED_GET, ASKED_CANCEL, ASKED_UPDATE };

/* A question that the database answers. */
struct question {
    struct lane_job job;
    struct list link; /* mcp_tasks::questions, owned */
    struct mcp_tasks *tasks;
    struct call *call; /* a reference */
    char *id;          /* owned */
    enum asked asked;
    struct mcp_task_row row; /* owned texts */
    bool works;              /* in another process */
    bool claimed;            /* its process has ended, and it is ours */
    struct task_left *left;  /* owned: then, what there is to go on with */
    int r;
    struct theseus_error err;
};

static void question_free(struct question *question) {
    list_remove(&question->link);
    (void)call_unref(question->call);
    mcp_task_row_fini(&question->row);
    task_left_free(question->left);
    free(question->id);
    free(question);
}

void questions_free_all(struct mcp_tasks *tasks) {
    list_for_each (link, &tasks->questions)
        question_free(list_entry(link, struct question, link));
}

static void refuse_unknown(struct call *call, const char *id) {
    struct theseus_error err = {0};

    (void)fail(&err, ERR_PARAMS, "there is no task '%.64s', or its time is over", id);
    call_fail(call, &err, NULL);
}

/* ---- one that is here ---- */

/* Nothing is ever asked of the client while a task runs, so every answer to a question is one that is ignored. */
static void answer_here(struct task *task, struct call *call, enum asked asked) ON_LOOP {
    if (asked == ASKED_GET && !task->busy && task->call)
        task_look_at_step(task);
    if (asked == ASKED_CANCEL && task->call)
        call_cancel(task->call);
    else if (asked == ASKED_CANCEL && task->state == TASK_WAITING)
        adopt_cancel(task);
    call_answer(call, asked == ASKED_GET ? task_json_new(task) : json_object());
}

/* ---- one that the database knows ---- */

/* False: another process was faster than this one to take it over, so that the row is another one now. */
static bool look(struct question *question) {
    struct mcp_tasks *tasks = question->tasks;

    mcp_task_row_fini(&question->row);
    question->r = mcp_task_find(tasks->origin.store, question->id, &question->row, &question->err);
    if (question->r != 0 || strcmp(question->row.status, "working") != 0)
        return true;
    question->works = adopt_is_at_work(tasks, &question->row);
    if (question->works)
        return true;
    int r = adopt_claim(tasks, &question->row, &question->left, &question->err);
    question->claimed = r == 0;
    question->r = r < 0 ? -1 : 0;
    return r <= 0 || !adopt_may(tasks, &question->row);
}

static void run_question(void *job) {
    struct question *question = container_of((struct lane_job *)job, struct question, job);

    for (int times = 0; times < LOOKS && !look(question); times++)
        ;
}

/* Of a process that is gone, and nobody here goes on with it. */
static json_t *lost_new(const struct mcp_task_row *row) {
    CLEANUP(free) char *text = mcp_task_lost(row->tool, row->message, "nobody goes on with it");
    CLEANUP(free) char *answer = mcp_task_lost_answer(text);
    json_t *task = mcp_task_new(row->id, "failed", text, row->created_ms, row->updated_ms);

    mcp_task_add_outcome(task, answer);
    return task;
}

static json_t *row_json_new(const struct question *question) {
    const struct mcp_task_row *row = &question->row;

    if (strcmp(row->status, "working") == 0 && !question->works)
        return lost_new(row);
    json_t *task = mcp_task_new(row->id, row->status, row->message, row->created_ms, row->updated_ms);
    mcp_task_add_outcome(task, row->answer);
    return task;
}

static void answer_question(struct question *question) ON_LOOP {
    struct task *task = mcp_tasks_find(question->tasks, question->id);

    if (!task && question->claimed)
        task = adopt_take(question->tasks, &question->row, TAKE_PTR(question->left));
    if (question->r < 0)
        call_fail(question->call, &question->err, NULL);
    else if (question->r == MCP_TASK_NONE)
        refuse_unknown(question->call, question->id);
    else if (task)
        answer_here(task, question->call, question->asked);
    else
        call_answer(question->call, question->asked == ASKED_GET ? row_json_new(question) : json_object());
}

static void on_answered(struct lane_job *job, bool timed_out) {
    struct question *question = container_of(job, struct question, job);

    loop_enter();
    (void)timed_out; /* there is no limit */
    answer_question(question);
    question_free(question);
}

static void ask(struct mcp_tasks *tasks, struct call *call, const char *id, enum asked asked) ON_LOOP {
    struct task *task = mcp_tasks_find(tasks, id);

    if (task) {
        answer_here(task, call, asked);
        return;
    }
    struct question *question = xcalloc(1, sizeof(*question));
    *question = (struct question){.tasks = tasks, .call = call_ref(call), .id = xstrdup(id), .asked = asked};
    question->job = (struct lane_job){.run = run_question, .done = on_answered};
    list_append(&tasks->questions, &question->link);
    lane_submit(tasks->lane, &question->job);
}

void mcp_tasks_get(struct mcp_tasks *tasks, struct call *call, const char *id) {
    ask(tasks, call, id, ASKED_GET);
}

void mcp_tasks_cancel(struct mcp_tasks *tasks, struct call *call, const char *id) {
    ask(tasks, call, id, ASKED_CANCEL);
}

void mcp_tasks_update(struct mcp_tasks *tasks, struct call *call, const char *id) {
    ask(tasks, call, id, ASKED_UPDATE);
}
