/* The connection's own struct, for the files of this folder that are parts of it. */
#pragma once

#include <pthread.h>

#include "base/map.h"
#include "conn/conn.h"
#include "conn/outbox.h"
#include "conn/stream.h"
#include "loop/poll.h"
#include "rpc/frame.h"

/* Bytes of the input that have a record: they were read, and are not yet made into requests. */
struct piece {
    uint64_t offset;
    size_t len;
};

struct conn_shared {
    struct batch batch; /* with memory for all that the loop itself records inside the gate */
    struct buf room;    /* to be read into; lent to the frame of the connection that reads */
};

struct conn {
    const struct conn_host *host;
    uint64_t number;
    struct list link; /* in the set of connections, which owns it */
    atomic_int refs;  /* one of its own, and one of each call that is still there, perhaps on another thread */
    bool freed;       /* it is there for calls alone, which are over */
    char *transport;  /* owned */
    struct session session;
    bool has_uid;
    uid_t uid; /* of the client's process */
    int64_t since_ms;
    bool lost;  /* the descriptors are closed: it is there for the calls that go on */
    bool waits; /* there are no descriptors, and the client is awaited: all that it has asked for goes on */

    /* the session beyond one stream, see resume.c */
    atomic_bool resumable; /* answers are kept until they are confirmed */
    bool doubtful;         /* some answer may be neither kept nor confirmed */
    bool expired;          /* the client was awaited in vain */
    bool restored;         /* from records */
    int64_t away_ms;       /* wall clock: awaited since then; 0: not so */
    uint64_t resumptions, refused, resumed_up_to;
    struct timer *grace; /* owned: the client is not awaited any longer */
    pthread_t loop_thread;

    /* input */
    struct stream in;
    struct poll *poll;    /* owned: of the input, and of the output where that is the same descriptor */
    struct frame *frame;  /* owned */
    struct piece *pieces; /* owned */
    size_t piece_count, piece_capacity;
    uint64_t read; /* stream offset behind the last byte that was read */
    int64_t first_line_ns, last_line_ns;
    bool hears; /* not started yet, but read already */
    bool started, stopped, ended, broken, told;
    bool is_starved;       /* there was no memory to read into */
    struct timer *starved; /* owned: it is tried again then; NULL: not waiting for that */
    struct timer *first;   /* owned: the first line has begun, and is to be whole by then; NULL: not so */
    struct timer *hangup;  /* owned: the client writes no more, and what it has written cannot be read; NULL: not so */
    uint64_t hangup_written; /* what it had read of us when that was looked at last */

    /* output; outbox, over and parked are under the ledger's gate */
    struct stream out;          /* has the input's descriptor, where that is one for both directions */
    struct poll *out_poll;      /* owned; NULL: there is one for both */
    int wants[2];               /* events, of the input and of the output */
    atomic_size_t max_buffered; /* limits.max_buffered as of the last turn: any thread asks */
    struct outbox outbox;
    struct list over;   /* call::over_link, borrowed: to be taken off on the loop */
    struct list parked; /* struct loop_task::link of whoever waits for room in the outbox, borrowed */
    struct loop_task wake, flush;

    /* calls; each is in `ids` too, and in exactly one of these lists */
    struct map *ids;      /* id → struct call, a reference each */
    struct list working;  /* call::link */
    struct list held;     /* call::link, in the order of arrival */
    struct list listens;  /* struct listen::link, owned */
    struct list detached; /* call::link, a reference each; these alone are not in `ids` */
    unsigned changed;     /* enum listen_wants: to be said when there is room again */
    int in_flight, held_count, listen_count;
    size_t held_bytes;
    int64_t paced_ns;     /* monotonic: when as many requests as were begun would be due, one after the other */
    struct timer *pace;   /* owned: held ones have their turn */
    struct timer *expiry; /* owned: looks at what is held */
    bool expires;         /* it runs */
};

struct listen {
    struct list link;
    struct call *call; /* borrowed from ids */
    unsigned wants;
    json_t *topics; /* owned: kind of topic → array of names; NULL: none */
};

/* conn.c */
enum { OUTPUT_PARTS = 64 };                                                   /* lines that one write takes */
struct conn *conn_new(const struct conn_host *host, uint64_t number) ON_LOOP; /* without streams, transport, frame */
struct call *conn_call_new(struct conn *conn) ON_LOOP;                        /* with a reference to it */
void conn_release(void *owner);                                               /* any thread: takes that back */
MUST_CHECK int conn_open_streams(struct conn *conn, int in, int out, struct theseus_error *err) ON_LOOP;
MUST_CHECK int conn_prepare(struct conn *conn, struct theseus_error *err) ON_LOOP; /* behind its streams */
void conn_want(struct conn *conn, int direction, int events) ON_LOOP;              /* STREAM_READ or STREAM_WRITE */
void conn_close_streams(struct conn *conn) ON_LOOP;
MUST_CHECK int conn_put_record(struct conn *conn, struct theseus_error *err) ON_LOOP;
MUST_CHECK int conn_pack_record(struct conn *conn, struct conn_record *record, struct buf texts[SESSION_TEXTS],
                                struct theseus_error *err) ON_LOOP; /* the texts are the caller's */

/* kept.c */
struct position_record kept_position(const struct conn *conn); /* as of now */
struct output_record kept_output(const struct conn *conn, const struct chunk *chunk);
/* Of all requests whose answers are kept or wait, beyond the first ones that have come. */
struct map *kept_ids_new(struct conn *conn, uint64_t received) ON_LOOP;
void kept_relieve(struct conn *conn) ON_LOOP;
void kept_forget(struct conn *conn) ON_LOOP;

/* resume.c */
bool resume_is_possible(const struct conn *conn) ON_LOOP;
void resume_await(struct conn *conn) ON_LOOP; /* the stream, if there is one, is closed */
void resume_watch(struct conn *conn) ON_LOOP; /* the limit may be another one */
void resume_give_up(struct conn *conn) ON_LOOP;

/* input.c */
void input_on_readable(struct conn *conn, int events) ON_LOOP;
void input_want(struct conn *conn) ON_LOOP; /* reads on or not, as the limits say */
void input_cut(struct conn *conn) ON_LOOP;
void input_drop_pieces(struct conn *conn, struct batch *batch) ON_LOOP;
MUST_CHECK int input_restore(struct conn *conn, const struct input_record *input, struct theseus_error *err) ON_LOOP;

/* expiry.c */
void expiry_watch(struct conn *conn) ON_LOOP; /* a request has come, or its turn */
void expiry_again(struct conn *conn) ON_LOOP; /* others have come back, or the limit is another one */

/* pace.c */
bool pace_allows(struct conn *conn) ON_LOOP; /* may one more be begun now? Else it is asked again in time */
void pace_count(struct conn *conn) ON_LOOP;  /* one is begun */

/* first.c */
void first_watch(struct conn *conn) ON_LOOP; /* more of the input has come */

/* hangup.c */
void hangup_noticed(struct conn *conn) ON_LOOP;

/* output.c */
extern const struct call_ops output_call_ops;
void output_answer(struct conn *conn, struct buf *line); /* to a request that has no call; takes the content */
void output_wake(struct conn *conn);                     /* any thread: what was added is written soon */
void output_write(struct conn *conn) ON_LOOP;
bool output_is_full(struct conn *conn);          /* with what is kept */
bool output_is_written(const struct conn *conn); /* nothing waits to be */
bool output_is_unread(struct conn *conn);        /* is so much not written that the client seems not to read? */
void output_unpark(struct conn *conn) ON_LOOP;
void output_unpark_all(struct conn *conn) ON_LOOP;

/* detached.c */
bool detached_is_recorded(struct conn *conn, const struct call *call) ON_LOOP;
void detached_add(struct conn *conn, struct call *call) ON_LOOP; /* takes the reference */
void detached_begin(struct conn *conn) ON_LOOP;                  /* those that have come back */
/* Under the gate: what a detached call ended with; `chunk` NULL: it was cancelled. */
MUST_CHECK int detached_end_locked(const struct call *call, const struct chunk *chunk, struct batch *batch,
                                   struct theseus_error *err);

/* queue.c */
void queue_accept(struct conn *conn, struct call *call) ON_LOOP; /* takes the reference */
bool queue_can_serve(struct conn *conn) ON_LOOP;                 /* is one held that could be worked on now? */
void queue_serve(struct conn *conn) ON_LOOP;
void queue_serve_urgent(struct conn *conn) ON_LOOP; /* what has come back held, whatever else is worked on */
void queue_take_off(struct conn *conn) ON_LOOP;     /* those that are over */
void queue_detach(struct conn *conn, struct call *call) ON_LOOP; /* one that is worked on is detached now */
void queue_refuse(struct conn *conn, const json_t *id, const struct theseus_error *error) ON_LOOP;
/* The same for a message that is no request yet: an id that is another's, still in flight, is not named. */
void queue_refuse_unread(struct conn *conn, const json_t *id, const struct theseus_error *error) ON_LOOP;
void queue_restore(struct conn *conn, const struct request_record *request) ON_LOOP;
void queue_leave_held(struct conn *conn, struct call *call) ON_LOOP;
void queue_forget(struct conn *conn, struct batch *batch) ON_LOOP; /* drops the records of all calls */
void queue_fini(struct conn *conn) ON_LOOP;

/* recover.c: for a ledger of which something is lost */
void recover_conn(struct conn *conn, int *ret_in, int *ret_out) ON_LOOP;
uint64_t recover_cut(struct conn *conn, uint64_t cut, bool known) ON_LOOP;
/* What is over, so much having left, is dropped. False: how much has left is not certain. */
bool recover_settled(struct conn *conn, uint64_t written) ON_LOOP;

/* listen.c */
void listen_free(struct listen *listen) ON_LOOP;
void listen_drop_all(struct conn *conn, struct batch *batch) ON_LOOP;
void listen_forget(struct conn *conn, struct call *call) ON_LOOP; /* harmless where it is none */
void listen_restore(struct conn *conn, const struct listen_record *listen) ON_LOOP;
void listen_topics(struct conn *conn, const json_t *added) ON_LOOP; /* tells whoever's they are */

static inline const struct config *conn_config(const struct conn *conn) {
    return *conn->host->config;
}
