#include "server/resume.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "conn/protocol.h"
#include "server/inner.h"

/* The names of what is counted in the ledger. */
#define SUCCESSFUL "resumptions"
#define MILLISECONDS "resumption ms"
#define FAILED "resumptions refused"
#define UNKNOWN "resumptions of nothing"
#define EXPIRED "sessions expired"
#define REFUSED_AT "resumption refused at, ms" /* wall clock: the last one; 0: none */

struct attempt {
    struct list link;
    struct loop_task task;
    struct server *server;
    uint64_t number;   /* of the connection that asks */
    struct call *call; /* a reference */
};

/* ---- counting ---- */

static void note_value(void *arg, const void *record) {
    *(uint64_t *)arg = ((const struct counter_record *)record)->value;
}

static uint64_t counted(const struct server *server, const char *name) {
    struct counter_record record = {.name = span_of(name)};
    uint64_t value = 0;

    (void)ledger_find(server->ledger, &counter_kind, &record, note_value, &value);
    return value;
}

static void record_value(struct server *server, const char *name, uint64_t value) {
    struct counter_record record = {.name = span_of(name), .value = value};
    struct theseus_error err = {0};

    if (ledger_put(server->ledger, &counter_kind, &record, &err) < 0)
        log_error("'%s' is not recorded: %s", name, err.message);
}

static void count(struct server *server, const char *name, uint64_t more) {
    record_value(server, name, counted(server, name) + more);
}

json_t *resume_report_new(struct server *server) {
    uint64_t successful = counted(server, SUCCESSFUL), ms = counted(server, MILLISECONDS);

    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "successful", (json_int_t)successful, "failed",
                     (json_int_t)counted(server, FAILED), "unknown", (json_int_t)counted(server, UNKNOWN), "expired",
                     (json_int_t)counted(server, EXPIRED), "average_ms",
                     successful ? json_real((double)ms / (double)successful) : json_null());
}

char *resume_alert_new(const struct server *server) {
    int64_t refused = (int64_t)counted(server, REFUSED_AT);

    if (refused == 0 || clock_wall_ms() - refused > RESUME_ALERT_MS)
        return NULL;
    return xasprintf("somebody tried to take over a session without being its client (%llu times so far); 'theseus "
                     "audit' says who",
                     (unsigned long long)counted(server, FAILED));
}

void resume_note_over(struct server *server, const struct conn *conn) {
    if (conn_has_expired(conn))
        count(server, EXPIRED, 1);
}

/* ---- attempts in vain ---- */

static struct resume_failures *failures_of(struct server *server, uid_t uid) {
    list_for_each (link, &server->resume.failures) {
        struct resume_failures *failures = list_entry(link, struct resume_failures, link);
        if (failures->uid == uid)
            return failures;
    }
    struct resume_failures *failures = xcalloc(1, sizeof(*failures));
    failures->uid = uid;
    list_append(&server->resume.failures, &failures->link);
    return failures;
}

/* The place of the next one is that of the oldest. */
static bool has_failed_too_often(const struct server *server, const struct resume_failures *failures) ON_LOOP {
    int64_t oldest = failures->at_ms[failures->next];

    return oldest > 0 && loop_now_ms(server->loop) - oldest < RESUME_WINDOW_MS;
}

static void count_failure(struct server *server) {
    count(server, FAILED, 1);
    record_value(server, REFUSED_AT, (uint64_t)clock_wall_ms());
}

static void audit(struct server *server, const struct conn *from, const char *session, const char *refusal) ON_LOOP {
    const struct asker by = {.transport = conn_transport(from), .uid = conn_uid(from)};

    if (refusal)
        log_warning("user %u may not take over session %.32s: %s", (unsigned)conn_uid(from), session, refusal);
    chronicle_asked(server->upkeep.chronicle, &by, NULL, "resume", session, refusal);
}

static void refuse(struct call *call, const char *reason) {
    struct theseus_error err = {0};

    (void)fail(&err, ERR_REQUEST, "the session is not resumed: %s", reason);
    call_fail(call, &err, json_pack("{s:s}", "reason", reason));
}

/* One that is looked at. */
static void note_failure(struct server *server, const struct conn *from, const char *session, const char *why) ON_LOOP {
    struct resume_failures *failures = failures_of(server, conn_uid(from));

    failures->at_ms[failures->next] = loop_now_ms(server->loop);
    failures->next = (failures->next + 1) % RESUME_MAX_FAILURES;
    failures->is_told = false;
    count_failure(server);
    audit(server, from, session, why);
}

/* One that is not. The audit has the first of them in a row: it is not theirs to fill. */
static void note_refused(struct server *server, const struct conn *from) ON_LOOP {
    struct resume_failures *failures = failures_of(server, conn_uid(from));

    count_failure(server);
    if (!failures->is_told)
        audit(server, from, "any", "too many failures");
    failures->is_told = true;
}

/* ---- who it is ---- */

/* Takes the same time wherever the two differ. */
static bool is_same(const char *secret, const char *said) {
    size_t len = strlen(secret);
    unsigned char difference = 0;

    if (len == 0 || !said || strlen(said) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        difference |= (unsigned char)(secret[i] ^ said[i]);
    return difference == 0;
}

struct search {
    const char *session;
    struct conn *found;
};

static void look(void *arg, struct conn *conn) {
    struct search *search = arg;

    loop_enter();
    const struct session *session = conn_session(conn);
    if (!conn_is_lost(conn) && session->secret[0] && strcmp(session->id, search->session) == 0)
        search->found = conn;
}

/* NULL: `ret_reason` says why not. */
static struct conn *find_session(struct server *server, struct conn *from, const json_t *params,
                                 const char **ret_reason) ON_LOOP {
    const char *session = json_string_value(json_object_get(params, "session"));
    struct search search = {.session = session ? session : ""};

    if (has_failed_too_often(server, failures_of(server, conn_uid(from)))) {
        *ret_reason = "too many failures";
        note_refused(server, from);
        return NULL;
    }
    clients_each(server->clients, look, &search);
    if (!search.found) {
        *ret_reason = "unknown session";
        count(server, UNKNOWN, 1);
        return NULL;
    }
    bool is_own = conn_uid(search.found) == conn_uid(from);
    if (is_own && is_same(conn_session(search.found)->secret, json_string_value(json_object_get(params, "secret"))))
        return search.found;
    *ret_reason = is_own ? "wrong secret" : "unknown session"; /* others do not learn which there are */
    note_failure(server, from, search.session, is_own ? "wrong secret" : "it is another user's");
    if (conn_waits(search.found))
        conn_note_refused(search.found);
    return NULL;
}

/* ---- taking over ---- */

static bool take_over(struct server *server, struct conn *conn, struct conn *from, const struct call *call,
                      struct theseus_error *err) ON_LOOP {
    const json_t *params = call->message.params;
    json_int_t received = json_integer_value(json_object_get(params, "received"));
    json_auto_t *none = json_array();
    json_t *unanswered = json_object_get(params, "unanswered");
    const struct session *session = conn_session(conn);
    int64_t away = conn_away_ms(conn);
    json_auto_t *result =
        json_pack("{s:i, s:s, s:i, s:s, s:s}", "protocol", PROTOCOL_VERSION, "version", THESEUS_VERSION, "pid",
                  (int)getpid(), "boot_id", server->methods.boot_id, "session", session->id);
    const struct conn_resumption resumption = {.id = call->id,
                                               .unanswered = json_is_array(unanswered) ? unanswered : none,
                                               .result = result,
                                               .received = received > 0 ? (uint64_t)received : 0};

    if (conn_take_over(conn, from, &resumption, err) < 0)
        return false;
    audit(server, conn, session->id, NULL);
    count(server, SUCCESSFUL, 1);
    count(server, MILLISECONDS, away > 0 ? (uint64_t)(clock_wall_ms() - away) : 0);
    clients_drop(server->clients, from);
    return true;
}

static void attempt_free(struct attempt *attempt) ON_LOOP {
    list_remove(&attempt->link);
    loop_forget(attempt->server->loop, &attempt->task);
    (void)call_unref(attempt->call);
    free(attempt);
}

static void look_at(struct server *server, struct conn *from, struct call *call) ON_LOOP {
    const char *reason = NULL;
    struct theseus_error err = {0};

    if (!conn_is_only_asking(from)) {
        (void)fail(&err, ERR_REQUEST,
                   "theseus/resume is the first line of a connection, and the next one waits for it");
        call_fail(call, &err, NULL);
        return;
    }
    struct conn *conn = find_session(server, from, call->message.params, &reason);
    if (!conn)
        refuse(call, reason);
    else if (!take_over(server, conn, from, call, &err))
        call_fail(call, &err, NULL);
}

static void on_attempt(void *arg) {
    struct attempt *attempt = arg;

    loop_enter();
    struct conn *from = clients_find(attempt->server->clients, attempt->number);
    if (from && !call_is_over(attempt->call))
        look_at(attempt->server, from, attempt->call);
    attempt_free(attempt);
}

void resume_asked(void *arg, struct conn *conn, struct call *call) {
    struct attempt *attempt = xcalloc(1, sizeof(*attempt));
    struct server *server = arg;

    loop_enter();
    *attempt = (struct attempt){.server = server, .number = conn_number(conn), .call = call_ref(call)};
    attempt->task = (struct loop_task){.run = on_attempt, .arg = attempt};
    list_append(&server->resume.attempts, &attempt->link);
    loop_defer(server->loop, &attempt->task);
}

/* ---- life ---- */

void resume_init(struct server *server) {
    list_init(&server->resume.attempts);
    list_init(&server->resume.failures);
}

void resume_fini(struct server *server) {
    list_for_each (link, &server->resume.attempts)
        attempt_free(list_entry(link, struct attempt, link));
    list_for_each (link, &server->resume.failures) {
        list_remove(link);
        free(list_entry(link, struct resume_failures, link));
    }
}
