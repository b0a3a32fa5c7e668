/*
 * A client's connection.
 *
 * Input: bytes are read and recorded under the ledger's gate, cut into lines, and each line that is a request becomes a
 * call: recorded as held, then given to `ops->request` – at once, or when one of at most limits.max_in_flight calls has
 * ended. Reading goes on past held requests, so that a cancellation or a ping is seen; it stops when
 * limits.max_buffered bytes wait in either direction, and the kernel holds the rest.
 *
 * Output: answers and notifications are added under the gate by whatever thread makes them, and written by the loop,
 * all that are ready together in one write.
 *
 * A connection can be thrown away at any moment and made again from the ledger: conn_restore().
 */
#pragma once

#include <sys/types.h>

#include "base/thread.h"
#include "call/call.h"
#include "config/config.h"
#include "conn/session.h"

struct conn;

struct conn_ops {
    /* Is this request answered at once, past held ones? */
    bool (*is_urgent)(void *arg, const struct message *message);
    /* A call to be answered, sooner or later. Borrowed: it is kept by whoever answers it. */
    void (*request)(void *arg, struct conn *conn, struct call *call);
    /* A subscription that was open before a restart goes on: the call is given what its end will need. */
    void (*listening)(void *arg, struct conn *conn, struct call *call);
    /* A notification (save cancellation, which the connection does itself). */
    void (*notification)(void *arg, struct conn *conn, const struct message *message);
    /* The client's answer to a request of ours. */
    void (*response)(void *arg, struct conn *conn, const struct message *message);
    /* Optional. What the client wants to hear about may be something else now; `added` (borrowed, an array; NULL: none)
     * may be new under TOPIC_RESOURCES, and nothing of it has been confirmed to the client yet. */
    void (*topics)(void *arg, struct conn *conn, const json_t *added);
    /* A detached call is over: its outcome is recorded. NULL where nothing is ever detached. */
    void (*outcome)(void *arg, struct conn *conn, struct call *call);
    /* The input has ended, and every request that came is answered and written; or the output is broken. */
    void (*closed)(void *arg, struct conn *conn);
    /* The input has ended. */
    void (*ended)(void *arg, struct conn *conn);
    /* There is no memory to read what the client sends: said when that begins, and again at every attempt in vain.
     * False: there is no hope of any, and what cannot be read is refused. */
    bool (*starved)(void *arg, struct conn *conn);
};

/* Memory that connections use one after the other. */
struct conn_shared;
MUST_CHECK int conn_shared_new(struct conn_shared **ret_shared, struct theseus_error *err);
struct conn_shared *conn_shared_free(struct conn_shared *shared);

/* What all connections of a server share. All borrowed. */
struct conn_host {
    struct loop *loop;
    struct ledger *ledger;
    const struct config *const *config; /* the present one */
    const char *boot_id;
    const struct conn_ops *ops;
    void *arg;
    struct conn_shared *shared;
};

/* `in` and `out` are borrowed descriptors (duplicated); `number` is the connection's, from 1. */
MUST_CHECK int conn_open(struct conn **ret_conn, const struct conn_host *host, uint64_t number, int in, int out,
                         const char *transport, struct theseus_error *err) ON_LOOP;
/* A client that has connected to our socket: `fd` is taken, also where this fails. `uid`: of the client's process. */
MUST_CHECK int conn_accept(struct conn **ret_conn, const struct conn_host *host, uint64_t number, int fd, uid_t uid,
                           struct theseus_error *err) ON_LOOP;
/* The same from its records. The descriptors are opened anew as above; or -1, both: they are the very ones that the
 * records name, which an exec has left open, and which stay open when this fails. */
MUST_CHECK int conn_restore(struct conn **ret_conn, const struct conn_host *host, uint64_t number, int in, int out,
                            struct theseus_error *err) ON_LOOP;
/* Many at once, in the order of their numbers. */
struct conn_restored {
    uint64_t number;
    int in, out;
    struct conn *conn; /* NULL: it cannot be gone on with, and `err` says why */
    struct theseus_error err;
};
void conn_restore_all(const struct conn_host *host, struct conn_restored *items, size_t count) ON_LOOP;
/* For the image before ended inside the gate: how much it read and wrote is not certain. What it may have begun to
 * write is ended, and is said again as a whole. Between conn_restore() and conn_start(). */
void conn_unknown_position(struct conn *conn) ON_LOOP;
/* Optional, before conn_start(): begins to read, and to answer pings. All other requests are held. */
void conn_hear(struct conn *conn) ON_LOOP;
/* Begins to read, and to work on what was held. */
void conn_start(struct conn *conn) ON_LOOP;
/* The client has gone for good: no record of the connection stays. */
void conn_forget(struct conn *conn) ON_LOOP;
/* Leaves the records: it can be restored. Calls that still run keep what they need of it until they end. */
struct conn *conn_free(struct conn *conn) ON_LOOP;

/*
 * The client has gone, and the server has not: its descriptors are closed, and its calls are cancelled, save those that
 * go on as tasks. `closed` is called, maybe once more, when there are none of these any more.
 */
void conn_lose(struct conn *conn) ON_LOOP;
bool conn_is_lost(const struct conn *conn) ON_LOOP;
/* Frees it while the server goes on; no record of it is left, and who waits for it is told. */
struct conn *conn_end(struct conn *conn) ON_LOOP;

/* ---- sessions that outlive their stream ---- */

void conn_be_resumable(struct conn *conn) ON_LOOP;                   /* the client has got its secret */
void conn_acknowledge(struct conn *conn, uint64_t received) ON_LOOP; /* answers that have come, since the beginning */
void conn_bye(struct conn *conn) ON_LOOP;                            /* it ends with its stream */
bool conn_waits(const struct conn *conn) ON_LOOP;                    /* has no stream, and its client is awaited */
bool conn_has_expired(const struct conn *conn) ON_LOOP;              /* it was, in vain */
int64_t conn_away_ms(const struct conn *conn) ON_LOOP;               /* wall clock: awaited since; 0: not so */
uint64_t conn_resumptions(const struct conn *conn) ON_LOOP;
void conn_note_refused(struct conn *conn) ON_LOOP; /* somebody who has not proved to be the client asked for it */
/*
 * "active"; "disconnected": awaited, or there for its tasks alone; "failed": awaited, and somebody was refused;
 * "reconnecting": taken over, and not all that had collected is confirmed; "restored": that has been, or no line has
 * come since it was made from records.
 */
const char *conn_state(const struct conn *conn) ON_LOOP;
/* Has the client of that stream said one thing alone, which is being worked on? */
bool conn_is_only_asking(const struct conn *conn) ON_LOOP;

struct conn_resumption {
    const json_t *id, *unanswered; /* of the request; those that its client has no answer for */
    json_t *result;                /* beside `fates` */
    uint64_t received;
};
/* `conn` goes on with the stream of `from`, which is lost then and to be ended. Its own stream is closed, if it has
 * one. */
MUST_CHECK int conn_take_over(struct conn *conn, struct conn *from, const struct conn_resumption *resumption,
                              struct theseus_error *err) ON_LOOP;

void conn_stop_reading(struct conn *conn) ON_LOOP;

/* Before it is freed: no call is begun any more, and those that run are asked to stop; their answers are dropped. */
void conn_let_go(struct conn *conn) ON_LOOP;
void conn_flush(struct conn *conn) ON_LOOP;            /* writes what can be written now */
bool conn_is_idle(const struct conn *conn) ON_LOOP;    /* nothing to answer, nothing to write */
bool conn_is_starved(const struct conn *conn) ON_LOOP; /* there was no memory to read, and there is none yet */

struct conn *conn_of(const struct call *call); /* that a connection has received; borrowed */
struct session *conn_session(struct conn *conn) ON_LOOP;
void conn_session_changed(struct conn *conn) ON_LOOP; /* records it */
uint64_t conn_number(const struct conn *conn) ON_LOOP;
const char *conn_transport(const struct conn *conn) ON_LOOP;
int64_t conn_since_ms(const struct conn *conn) ON_LOOP; /* wall clock; 0: not known */
bool conn_is_stdio(const struct conn *conn) ON_LOOP;    /* the client that has started us */
uid_t conn_uid(const struct conn *conn) ON_LOOP;        /* of the client; ours where it has our pipe */
struct call *conn_find_call(struct conn *conn, const json_t *id) ON_LOOP; /* borrowed; NULL: none in flight */
/* Visits every call that is not over, held, worked on or a subscription, in the order of acceptance. `visit` may end
 * calls. */
typedef void conn_visit_fn(void *arg, struct call *call);
void conn_each_call(struct conn *conn, conn_visit_fn *visit, void *arg) ON_LOOP;
int64_t conn_last_line_ns(const struct conn *conn) ON_LOOP;  /* monotonic: the last line that was handled; 0: none */
int64_t conn_first_line_ns(const struct conn *conn) ON_LOOP; /* the first one since it was made or restored */
int conn_in_flight(const struct conn *conn) ON_LOOP;
int conn_held(const struct conn *conn) ON_LOOP;
/* Bytes of requests that wait for their turn, and of answers that wait for the client or for its confirmation. */
void conn_buffered(const struct conn *conn, size_t *ret_in, size_t *ret_out) ON_LOOP;
void conn_serve(struct conn *conn) ON_LOOP; /* goes on with held requests, for example after new limits */

/* Sends a line that is no answer to a call; takes the content. Any thread. */
void conn_say(struct conn *conn, struct buf *line);
/* A log message about the server itself (level: enum theseus_level), for a legacy session that wants such. */
void conn_notice(struct conn *conn, int level, const json_t *data) ON_LOOP;
/* The client cancels: the call `id`, running, held or a listen, ends without an answer. Unknown ids are ignored. */
void conn_cancel(struct conn *conn, const json_t *id) ON_LOOP;

/* Every call that is not over: it ends without an answer, and its handler is asked to stop. */
void conn_cancel_all(struct conn *conn) ON_LOOP;

/* ---- calls that go on as tasks ---- */

/*
 * Answers the call with `line` (its content is taken), commits `batch` with that, and lets the call go on: it is no
 * work of this connection any more and its id is free. What it ends with becomes an outcome_record under its key, which
 * is whoever's who is told of it. False: it was over already, or has been detached; then nothing happened.
 */
bool conn_detach(struct conn *conn, struct call *call, struct batch *batch, struct buf *line) ON_LOOP;

/* Such a call that was begun in another process, which has ended. Texts are borrowed for the call. */
struct conn_adopted {
    struct span request;     /* its line */
    struct span checkpoint;  /* empty: there is none */
    uint64_t inner;          /* of the checkpoint */
    struct task_record task; /* its key is made here */
};
/* It is a detached call of this connection from now on, begun once, and borrowed. NULL: err. Then conn_begin(). */
struct call *conn_adopt(struct conn *conn, const struct conn_adopted *adopted, struct theseus_error *err) ON_LOOP;
void conn_begin(struct conn *conn, struct call *call) ON_LOOP; /* a detached one */
/* All that are detached: nobody hears what they end with, and their handlers are asked to. What is recorded stays. */
void conn_let_go_detached(struct conn *conn) ON_LOOP;

/* ---- subscriptions/listen ---- */

enum listen_wants { LISTEN_TOOLS = 1, LISTEN_RESOURCES = 2 }; /* changes of these lists */
#define TOPIC_TASKS "taskIds"
#define TOPIC_RESOURCES "resourceSubscriptions" /* of which a legacy session has some, too */

/* The call stays open as a subscription, and no longer counts as work. `topics` (borrowed; NULL: none) has arrays of
 * names under the kinds of topics. ERR_INTERNAL: there are too many. */
MUST_CHECK int conn_listen(struct conn *conn, struct call *call, unsigned wants, json_t *topics,
                           struct theseus_error *err) ON_LOOP;
/* Visits every name under that kind, of the legacy session too; some of them several times. */
typedef void conn_topic_fn(void *arg, const char *name);
void conn_each_topic(struct conn *conn, const char *kind, conn_topic_fn *visit, void *arg) ON_LOOP;
/* Sends a notification to every subscription, and to the legacy session, that has `name` among its topics of that kind.
 */
void conn_tell(struct conn *conn, const char *kind, const char *name, const char *method, json_t *params) ON_LOOP;
/* Tells every subscription that wants it, and the legacy session. */
void conn_list_changed(struct conn *conn, unsigned lists) ON_LOOP;
/* Ends the subscriptions from our side: a result for each, then a cancellation. */
void conn_end_listens(struct conn *conn, const char *reason) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct conn *, conn_free)
