/*
 * theseus_control(): what plugins may ask of the core. The asking thread is a worker or a plugin's own; the answer is
 * made on the loop, and the thread waits for it.
 */
#include "server/control.h"

#include <stdlib.h>
#include <time.h>

#include "plugin/run.h"
#include "server/inner.h"
#include "server/services.h"

static const struct control_row rows[] = {
    {.verb = "connections", .answer = service_connections},
    {.verb = "health", .gather = health_gather, .answer = health_answer},
    {.verb = "may_call", .answer = service_may_call},
    {.verb = "plugins", .answer = service_plugins},
    {.verb = "prepare", .gather = prepare_gather, .begin = prepare_begin},
    {.verb = "reconnect_test", .gather = reconnect_gather, .begin = reconnect_begin},
    {.verb = "reload", .begin = service_reload},
    {.verb = "restart", .answer = service_restart, .may_be_silent = true},
    {.verb = "restart_status", .gather = status_gather, .answer = status_answer},
    {.verb = "tool", .answer = service_tool},
};

/*
 * Belongs to two: the thread that asks, until it has its answer, and the loop, until it is through with it. At the end
 * of the server the thread is sent away at once, while the loop may still hold the question.
 */
struct question {
    struct asked asked;
    struct list link;    /* in control.waiting, until it is answered */
    struct list on_loop; /* in control.open, until the loop is through with it */
    int owners;          /* under control.lock */
    struct loop_task task;
    const struct control_row *row;
    json_t *args, *facts; /* owned */
    json_t *answer;       /* under control.lock; NULL: nothing is to be said */
    bool is_answered;     /* likewise; the answer itself is taken by who asked */
    pthread_cond_t answered;
};

json_t *control_error_new(const char *text) {
    return json_pack("{s:s}", "error", text);
}

void control_init(struct server *server) {
    (void)pthread_mutex_init(&server->control.lock, NULL);
    list_init(&server->control.waiting);
    list_init(&server->control.open);
}

static void disown_locked(struct question *question) {
    if (--question->owners > 0)
        return;
    (void)pthread_cond_destroy(&question->answered);
    json_decref(question->answer);
    json_decref(question->facts);
    json_decref(question->args);
    free(question);
}

static void answer_locked(struct question *question, json_t *value) {
    if (question->is_answered) {
        json_decref(value); /* it was sent away already */
        return;
    }
    question->is_answered = true;
    question->answer = value || question->row->may_be_silent ? value : control_error_new("no memory for the answer");
    list_remove(&question->link);
    (void)pthread_cond_signal(&question->answered);
}

static void end_work(struct question *question) ON_LOOP {
    if (question->asked.end)
        question->asked.end(question->asked.work);
}

/* The loop is through with the question. */
void control_answer(struct asked *asked, json_t *value) {
    struct question *question = container_of(asked, struct question, asked);
    struct control *control = &asked->server->control;

    end_work(question);
    (void)pthread_mutex_lock(&control->lock);
    answer_locked(question, value);
    list_remove(&question->on_loop);
    disown_locked(question);
    (void)pthread_mutex_unlock(&control->lock);
}

bool control_is_closed(const struct asked *asked) {
    return asked->server->control.closed;
}

static void on_asked(void *arg) {
    struct question *question = arg;
    struct asked *asked = &question->asked;

    loop_enter();
    if (control_is_closed(asked))
        control_answer(asked, control_error_new("the server is ending"));
    else if (question->row->begin)
        question->row->begin(asked);
    else
        control_answer(asked, question->row->answer(asked->server, asked->run, asked->args, asked->facts));
}

static struct question *question_new(struct asked asked, const struct control_row *row) {
    struct question *question = xcalloc(1, sizeof(*question));

    question->row = row;
    question->owners = 2;
    question->args = json_deep_copy(asked.args);
    question->facts = row->gather ? row->gather(asked.server, asked.run, asked.args) : NULL;
    question->asked = asked;
    question->asked.args = question->args;
    question->asked.facts = question->facts;
    question->task = (struct loop_task){.run = on_asked, .arg = question};
    list_init(&question->link);
    list_init(&question->on_loop);
    (void)pthread_cond_init(&question->answered, NULL);
    return question;
}

static json_t *wait_for_answer(struct server *server, struct question *question) {
    struct control *control = &server->control;

    (void)pthread_mutex_lock(&control->lock);
    if (control->closed) {
        answer_locked(question, control_error_new("the server is ending"));
        question->owners--; /* the loop never hears of it */
    } else {
        list_append(&control->waiting, &question->link);
        list_append(&control->open, &question->on_loop);
        loop_post_task(server->loop, &question->task);
    }
    while (!question->is_answered)
        (void)pthread_cond_wait(&question->answered, &control->lock);
    json_t *result = TAKE_PTR(question->answer);
    disown_locked(question);
    (void)pthread_mutex_unlock(&control->lock);
    return result;
}

static const struct control_row *find_row(const char *verb) {
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(rows[i].verb, verb) == 0)
            return &rows[i];
    return NULL;
}

json_t *control_run(void *arg, struct run *run, const char *verb, const json_t *args) {
    const struct control_row *row = find_row(verb);

    if (pthread_equal(pthread_self(), run->host->loop_thread))
        return control_error_new("a tool that runs on the loop thread (THESEUS_INLINE) cannot wait for the loop");
    if (!row)
        return control_error_new("this server has no such service");
    return wait_for_answer(arg, question_new((struct asked){.server = arg, .run = run, .args = args}, row));
}

void control_close(struct server *server) {
    struct control *control = &server->control;

    (void)pthread_mutex_lock(&control->lock);
    control->closed = true;
    list_for_each (link, &control->waiting)
        answer_locked(list_entry(link, struct question, link), control_error_new("the server is ending"));
    (void)pthread_mutex_unlock(&control->lock);
}

void control_fini(struct server *server) {
    struct control *control = &server->control;

    list_for_each (link, &control->open) {
        struct question *question = list_entry(link, struct question, on_loop);
        loop_forget(server->loop, &question->task);
        end_work(question);
        list_remove(link);
        disown_locked(question);
    }
    (void)pthread_mutex_destroy(&control->lock);
}
