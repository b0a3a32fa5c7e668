/*
 * Every kind of fact that outlives the process image, one struct each. Written by the object that owns the fact, when
 * it changes, through batch_put() and batch_drop(). Spans are borrowed for the call.
 */
#pragma once

#include "ledger/record.h"

/* A client's connection, and the session that a legacy client opened on it. Owner: conn. */
struct conn_record {
    uint64_t conn; /* key: number of the connection, from 1 */
    struct span transport;
    uint64_t fd_in, fd_out;
    struct span session;       /* id */
    struct span revision;      /* negotiated by initialize; empty: no legacy session */
    uint64_t initialized;      /* 1: notifications/initialized has come */
    struct span client;        /* clientInfo, JSON */
    struct span capabilities;  /* JSON */
    uint64_t log_level;        /* 0: none was set; else 1 + enum theseus_level */
    struct span directory;     /* where the client works, once it said so */
    uint64_t blocks;           /* 1: fd_in may block, 2: fd_out may; see conn/stream.h */
    struct span subscriptions; /* JSON: the resources that a legacy client subscribed to; empty: none */
    uint64_t uid;              /* who is at the other end of a socket: 1 + its user id; 0: not asked */
    uint64_t since_ms;         /* wall clock */
    struct span secret;        /* by which another socket takes the session over; empty: none can */
    struct span home;          /* the directory that the client was started in, as it says; empty: it does not */
    uint64_t lost;             /* 1: the descriptors are closed, what was accepted goes on */
    uint64_t away_ms;          /* wall clock: since when it has no stream, and its client is awaited; 0: not so */
    uint64_t doubtful;         /* 1: what the client has had of the answers is not certain */
    uint64_t resumptions;      /* how often another stream has taken it over */
    uint64_t refused;          /* attempts at that since it has no stream, in vain */
};
extern const struct record_kind conn_kind;

/* How far a connection's streams have got, in bytes since its beginning. Owner: conn. */
struct position_record {
    uint64_t conn;         /* key */
    uint64_t cut;          /* input up to here is made into requests (or was none) */
    uint64_t skipping;     /* 1: the rest of a line that is too long is being thrown away */
    uint64_t written;      /* output up to here has left */
    uint64_t acknowledged; /* answers that the client has confirmed; 0 where it does not do such a thing */
};
extern const struct record_kind position_kind;

/* Bytes that were read and are not yet a whole line. Owner: conn. */
struct input_record {
    uint64_t conn, offset; /* key; offset of the first byte */
    struct span bytes;
};
extern const struct record_kind input_kind;

/* A request that was accepted and not yet answered. Owner: conn. */
struct request_record {
    uint64_t conn, offset, index; /* key; offset behind its line; index inside a batch */
    struct span text;
    uint64_t accepted_ns; /* monotonic clock */
};
extern const struct record_kind request_kind;

enum run_later { RUN_LATER = 1, RUN_LATER_STRUCTURED = 2 };

/* That request has entered a handler; without this record it is held. Owner: call. */
struct run_record {
    uint64_t conn, offset, index; /* key, the request's */
    uint64_t attempts;
    uint64_t crashes;   /* of the server, while its handler was at work */
    uint64_t counted;   /* the attempt during which the last of them came */
    uint64_t later;     /* enum run_later: its handler has returned and will answer; 0: not so */
    struct span plugin; /* whose handler that is; empty unless it answers later */
};
extern const struct record_kind run_kind;

/* Bytes for a client that are not written yet: an answer or a notification. Owner: conn. */
struct output_record {
    uint64_t conn, offset; /* key; offset of the first byte */
    struct span bytes;
    uint64_t answers; /* 1: it answers a request, and stays until the client has confirmed it */
};
extern const struct record_kind output_kind;

/* Where a resumable call has got to. Owner: call. */
struct checkpoint_record {
    uint64_t conn, offset, index; /* key, the request's */
    struct span state;            /* JSON */
    uint64_t inner;               /* inner calls that had ended by then: the next one's number follows */
};
extern const struct record_kind checkpoint_kind;

/* The highest progress that a request has reported. Owner: call. */
struct progress_record {
    uint64_t conn, offset, index; /* key, the request's */
    uint64_t value;               /* the bits of a double */
};
extern const struct record_kind progress_kind;

/* An open subscriptions/listen. Owner: conn. */
struct listen_record {
    uint64_t conn, offset, index; /* key, the request's */
    struct span id;               /* JSON */
    uint64_t wants;               /* bits of enum listen_wants */
    struct span topics;           /* JSON; empty: none */
};
extern const struct record_kind listen_kind;

/* A value of theseus_state_put(). Owner: plugin. */
struct state_record {
    struct span plugin, name; /* key */
    struct span value;        /* JSON */
};
extern const struct record_kind state_kind;

/* The image that serves a plugin. Owner: plugin. */
struct image_record {
    struct span plugin; /* key: its name */
    struct span file;   /* where it came from */
    struct span active_path, active_hash;
    struct span good_path, good_hash; /* the last one that is known to be good; empty: none */
    uint64_t generation;
    uint64_t since_ns; /* monotonic clock: when it began to serve */
    uint64_t calls;    /* that it has answered, as far as they were counted */
    struct span version;
    struct span tools; /* their names, with a newline behind each */
    uint64_t stored;   /* 1: active_path is no private copy; one is to be made of it */
};
extern const struct record_kind image_kind;

/* How often an image has crashed. Owner: server. */
struct crash_record {
    struct span hash; /* key: of the image */
    struct span plugin;
    uint64_t total;
    struct span times; /* of the last ones: nanoseconds of the monotonic clock, 8 bytes each */
};
extern const struct record_kind crash_kind;

/* An image that is not loaded any more, because it crashes. Owner: plugin. */
struct ban_record {
    struct span hash; /* key: of the image */
    struct span text; /* JSON: see plugin/ban.h */
};
extern const struct record_kind ban_kind;

/* Something that is still to be written into the history. Owner: server. */
struct event_record {
    uint64_t number;  /* key: in the order in which they came */
    struct span text; /* JSON */
};
extern const struct record_kind event_kind;

/* A child process that a call started. Owner: call. */
struct child_record {
    uint64_t pid;                 /* key */
    uint64_t start_time;          /* as /proc/PID/stat has it: tells a reused pid */
    uint64_t conn, offset, index; /* the call's request */
};
extern const struct record_kind child_kind;

/* What a plugin's `save` gave for the restart under way: its next `start` finds it. Owner: plugin. */
struct saved_record {
    struct span plugin; /* key: its name */
    struct span value;  /* JSON */
};
extern const struct record_kind saved_kind;

enum restart_flags {
    RESTART_GRACEFUL = 1,
    RESTART_PRESERVE = 2,
    RESTART_MIGRATES = 4, /* there are steps of the database's schema to be applied */
    RESTART_OWN = 8,      /* the image that runs is executed again, whatever stands at its path */
    RESTART_TOLD = 32,    /* clients were told that it comes, and are told how it ends */
    RESTART_RETRIES = 16, /* the new image serves, and tries again what was refused; it is in the history */
    RESTART_CRASH = 64,   /* it is none: the image goes on for one that has crashed */
};

/* The restart under way; there is at most one. Times of the monotonic clock are in nanoseconds. Owner: server. */
struct restart_record {
    uint64_t number;              /* key */
    uint64_t conn, offset, index; /* the request that asked; 0: no client did */
    struct span reason, phase;
    uint64_t started_ms; /* wall clock */
    uint64_t attempt;    /* images that were executed for it; the second is the way back */
    uint64_t flags;      /* enum restart_flags */
    uint64_t timeout_ms;
    uint64_t started_ns;
    struct span asker; /* JSON: name, version, transport, uid, session */
    struct span boot_before, version_before;
    uint64_t stopped_ns; /* when the old image handled its last line */
    uint64_t held_ns;    /* since when tool calls wait */
    uint64_t suspend_ns; /* how long running calls were waited for */
    uint64_t requests_held, calls_interrupted, bytes_carried;
    struct span error;  /* why the new image gave up; empty: it has not, or could not say */
    struct span lost;   /* what was left behind on the way; empty: nothing */
    struct span cause;  /* why the server restarts by itself; empty: somebody asked */
    struct span report; /* JSON: it is over, and who asked is answered with that; empty: nobody is, or not yet */
};
extern const struct record_kind restart_kind;

/* State, checkpoints and saved values that a restart does not carry on, until it is complete. Owner: server. */
extern const struct record_kind state_aside_kind, checkpoint_aside_kind, saved_aside_kind;

/* An image that is to serve in the next process image, in place of what serves now: its schema is migrated on the way.
 * Owner: plugin. */
struct proposal_record {
    struct span plugin;     /* key: its name */
    struct span file;       /* where it came from */
    struct span path, hash; /* the private copy */
    struct span replaced;   /* the private copy that serves now; empty: none does */
    uint64_t generation;
};
extern const struct record_kind proposal_kind;

/* A request that was answered with a task, and goes on under its own key. Owner: server. */
struct task_record {
    uint64_t conn, offset, index; /* key, the request's */
    struct span id;
    uint64_t created_ms;  /* wall clock */
    uint64_t kept;        /* 1: what another process needs to go on with it is in files */
    struct span call_key; /* of one that was begun in another process; empty: its own */
    struct span client;   /* JSON: who asked there; empty: see the connection */
};
extern const struct record_kind task_kind;

/* What such a request ended with: the line of a response; empty: it was cancelled. Owner: conn. */
struct outcome_record {
    uint64_t conn, offset, index; /* key, the request's */
    struct span line;
};
extern const struct record_kind outcome_kind;

/* A descriptor that goes from image to image. Owner: server. */
struct kept_record {
    struct span name; /* key */
    uint64_t fd;
};
extern const struct record_kind kept_kind;

/* What all images of this process have in common. Owner: server. */
struct boot_record {
    uint64_t number;           /* key: 1 */
    struct span origin;        /* boot id of the first image: names files, and is part of every call's key */
    struct span boot;          /* of the present one */
    struct span program;       /* the path by which the server was first started, absolute */
    struct span image_path;    /* directory of private plugin copies; empty: none was made */
    struct span tools;         /* digest of the list of tools that clients know */
    struct span resources;     /* the same of resources and their templates */
    uint64_t started_ms;       /* the process; wall clock */
    uint64_t images;           /* how many have served, the present one included */
    uint64_t awake;            /* 1: it has had real work */
    uint64_t last_duration_ms; /* of the last restart that was completed; 0: there was none */
};
extern const struct record_kind boot_kind;

/* The settings that serve, for an image that finds a mistake in their file. */
struct settings_record {
    uint64_t number; /* key: 1 */
    struct span file, text;
};
extern const struct record_kind settings_kind;

/* Numbers that must never be given out twice. Owner: server. */
struct counter_record {
    struct span name; /* key */
    uint64_t value;
};
extern const struct record_kind counter_kind;
