#include "server/confirm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/run.h"
#include "server/restart_inner.h"
#include "server/services.h"

#define ANSWER "restart" /* the key of the question, and of the person's answer in it */

enum { QUESTIONS_MAX = 64, LOOK_MS = 100 };

struct question {
    struct list link;
    char token[33];  /* nobody guesses it: id of our request, or requestState */
    struct run *run; /* a reference: of the call that waits; NULL: it comes again */
    uint64_t conn;   /* that may answer */
    long uid;
    char *terms; /* owned: what was asked for */
    struct restart_request request;
    char *reason; /* owned */
    int64_t until_ns;
};

/* ---- questions ---- */

static char *terms_of(const struct restart_request *request) {
    return xasprintf("%s %d %d %d", request->reason, request->graceful, request->preserve_state, request->timeout_s);
}

static void make_token(char token[static 33]) {
    unsigned char random[16];

    if (getentropy(random, sizeof(random)) < 0)
        abort();
    for (size_t i = 0; i < sizeof(random); i++)
        (void)snprintf(token + 2 * i, 3, "%02x", random[i]);
}

static void question_free(struct question *question) ON_LOOP {
    list_remove(&question->link);
    (void)run_unref(question->run);
    free(question->terms);
    free(question->reason);
    free(question);
}

static int count(const struct list *questions) {
    int n = 0;

    list_for_each (link, questions)
        n++;
    return n;
}

static struct question *find(struct server *server, const char *token) {
    list_for_each (link, &server->confirm.questions) {
        struct question *question = list_entry(link, struct question, link);
        if (token && strcmp(question->token, token) == 0)
            return question;
    }
    return NULL;
}

/* ---- answers ---- */

static json_t *refuse(struct server *server, const struct call *call, const char *why) ON_LOOP {
    const struct asker by = upkeep_asker(&call->client);
    CLEANUP(free) char *text = xasprintf("restart is not allowed: %s (access.restart is 'confirm')", why);

    log_warning("a restart was refused: %s", why);
    chronicle_asked(server->upkeep.chronicle, &by, call->client.session, "restart", NULL, text);
    return control_error_new(text);
}

/* `result` is what the client answers to elicitation/create; NULL: an error. */
static const char *why_not(const json_t *result) {
    const char *action = json_string_value(json_object_get(result, "action"));
    const json_t *content = json_object_get(result, "content");

    if (!action)
        return "the client could not ask the person";
    if (strcmp(action, "decline") == 0)
        return "the person declined";
    if (strcmp(action, "accept") != 0)
        return "the person did not answer";
    return json_is_true(json_object_get(content, ANSWER)) ? NULL : "the person did not agree";
}

static json_t *decide(struct server *server, const struct restart_request *request, const json_t *result) ON_LOOP {
    const char *why = why_not(result);

    return why ? refuse(server, request->run->request, why) : restart_answer_asker(server, request);
}

/* To a call that waits. Steals. */
static void answer_later(struct run *run, json_t *answer) {
    const char *error = json_string_value(json_object_get(answer, "error"));

    if (!answer)
        return; /* the restart has begun and answers itself */
    if (error)
        (void)theseus_reply_error(&run->call, "%s", error);
    else
        (void)theseus_reply_json(&run->call, json_incref(answer));
    json_decref(answer);
}

/* The client need not ask any longer. */
static void take_back(struct server *server, const struct question *question, const char *why) ON_LOOP {
    struct conn *conn = clients_find(server->clients, question->conn);
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    if (!conn)
        return;
    json_auto_t *params = json_pack("{s:s, s:s}", "requestId", question->token, "reason", why);
    if (message_write_notification("notifications/cancelled", params, &line, &err) < 0)
        log_error("%s", err.message);
    else
        conn_say(conn, &line);
}

static void give_up(struct server *server, struct question *question, const char *why) ON_LOOP {
    if (question->run) {
        take_back(server, question, why);
        answer_later(question->run, refuse(server, question->run->request, why));
    }
    question_free(question);
}

static void on_look(void *arg) {
    struct server *server = arg;
    int64_t now = clock_now_ns();

    loop_enter();
    list_for_each (link, &server->confirm.questions) {
        struct question *question = list_entry(link, struct question, link);
        if (question->run && call_is_over(question->run->request))
            give_up(server, question, "the call was given up before the person answered");
        else if (question->until_ns <= now)
            give_up(server, question, "the person did not answer within access.confirm_within");
    }
    if (list_empty(&server->confirm.questions))
        timer_stop(server->confirm.look);
}

/* ---- asking ---- */

static json_t *elicitation_new(const struct server *server, const struct restart_request *request) {
    const struct theseus_client_info *client = &request->run->request->client;
    CLEANUP(free)
    char *message = xasprintf("%s asks to restart the server '%s' (%s%s%s). May it?",
                              *client->name ? client->name : "A client", server->config->server.name, request->reason,
                              request->graceful ? "" : ", without waiting for running calls",
                              request->preserve_state ? "" : ", without keeping state");

    return json_pack("{s:s, s:{s:s, s:{s:{s:s, s:s}}, s:[s]}}", "message", message, "requestedSchema", "type", "object",
                     "properties", ANSWER, "type", "boolean", "title", "Restart the server", "required", ANSWER);
}

static struct question *question_new(struct server *server, const struct restart_request *request) ON_LOOP {
    struct confirm *confirm = &server->confirm;
    struct question *question = xcalloc(1, sizeof(*question));

    if (!confirm->look) {
        list_init(&confirm->questions);
        confirm->look = timer_new(server->loop, on_look, server);
    }
    make_token(question->token);
    question->conn = conn_number(conn_of(request->run->request));
    question->uid = request->run->request->client.uid;
    question->terms = terms_of(request);
    question->request = *request;
    question->request.reason = question->reason = xstrdup(request->reason);
    question->until_ns = clock_now_ns() + server->config->access.confirm_within * INT64_C(1000000000);
    if (count(&confirm->questions) >= QUESTIONS_MAX)
        give_up(server, list_first(&confirm->questions, struct question, link), "too many others ask");
    list_append(&confirm->questions, &question->link);
    timer_start(confirm->look, LOOK_MS, LOOK_MS);
    return question;
}

/* The call waits for the answer to a request of ours. */
static json_t *ask_legacy(struct server *server, const struct restart_request *request) ON_LOOP {
    struct question *question = question_new(server, request);
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    json_auto_t *params = elicitation_new(server, request);
    if (message_write_request(question->token, "elicitation/create", params, &line, &err) < 0) {
        question_free(question);
        return control_error_new(err.message);
    }
    question->run = run_ref(request->run);
    conn_say(conn_of(request->run->request), &line);
    return NULL;
}

/* The call is answered here, so that what its handler says afterwards is dropped. */
static json_t *ask_modern(struct server *server, const struct restart_request *request) ON_LOOP {
    const struct question *question = question_new(server, request);

    call_answer(request->run->request, json_pack("{s:s, s:{s:{s:s, s:o}}, s:s}", "resultType", "input_required",
                                                 "inputRequests", ANSWER, "method", "elicitation/create", "params",
                                                 elicitation_new(server, request), "requestState", question->token));
    return control_error_new("the person is asked");
}

static json_t *refuse_state(struct server *server, const struct restart_request *request) ON_LOOP {
    struct theseus_error err = {0};

    (void)fail(&err, ERR_PARAMS,
               "'requestState' is none of this server's, of another call, too old or used: call again without it");
    call_fail(request->run->request, &err, NULL);
    return refuse(server, request->run->request, "its requestState is not good");
}

/* Comes again, with the person's answer. */
static json_t *answer_modern(struct server *server, const struct restart_request *request, const char *state) ON_LOOP {
    struct call *call = request->run->request;
    const json_t *result = json_object_get(json_object_get(call->message.params, "inputResponses"), ANSWER);
    struct question *question = server->confirm.look ? find(server, state) : NULL;
    CLEANUP(free) char *terms = terms_of(request);

    if (!question || question->run || question->uid != call->client.uid || strcmp(question->terms, terms) != 0 ||
        question->until_ns <= clock_now_ns())
        return refuse_state(server, request);
    question_free(question);
    return json_is_object(result) ? decide(server, request, result) : ask_modern(server, request);
}

/* An empty object means forms. */
static bool can_ask(const json_t *capabilities) {
    const json_t *elicitation = json_object_get(capabilities, "elicitation");

    return json_is_object(elicitation) && (json_object_size(elicitation) == 0 || json_object_get(elicitation, "form"));
}

json_t *confirm_restart(struct server *server, const struct restart_request *request) {
    struct call *call = request->run->request;
    const json_t *params = call->message.params, *state = json_object_get(params, "requestState");
    bool modern = call->revision->modern;
    struct theseus_error err = {0};

    if (restart_check(server, request, &err) < 0)
        return restart_answer_asker(server, request); /* which says so */
    if (!can_ask(modern ? json_object_get(json_object_get(params, "_meta"), META_CAPABILITIES)
                        : conn_session(conn_of(call))->capabilities))
        return refuse(server, call, "the person must agree, and this client cannot ask: it declares no elicitation");
    if (!modern)
        return ask_legacy(server, request);
    return state ? answer_modern(server, request, json_string_value(state)) : ask_modern(server, request);
}

bool confirm_take_answer(void *arg, struct conn *conn, const struct message *message) {
    struct server *server = arg;

    loop_enter();
    struct question *question = server->confirm.look ? find(server, json_string_value(message->id)) : NULL;
    if (!question || !question->run || question->conn != conn_number(conn))
        return false;
    struct run *run = run_ref(question->run);
    const struct asker by = upkeep_asker(&run->request->client);
    struct restart_request request = question->request;
    CLEANUP(free) char *reason = TAKE_PTR(question->reason);
    request.by = &by;
    request.reason = reason; /* it outlives the question */
    question_free(question);
    if (call_is_over(run->request))
        answer_later(run, refuse(server, run->request, "the call was given up before the person answered"));
    else
        answer_later(run, decide(server, &request, json_object_get(message->root, "result")));
    (void)run_unref(run);
    return true;
}

void confirm_refuse_all(struct server *server, const char *why) {
    if (!server->confirm.look)
        return;
    list_for_each (link, &server->confirm.questions)
        give_up(server, list_entry(link, struct question, link), why);
}

void confirm_fini(struct server *server) {
    confirm_refuse_all(server, "the server is ending");
    server->confirm.look = timer_free(server->confirm.look);
}
