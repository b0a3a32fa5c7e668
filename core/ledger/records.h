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
    struct span session;      /* id */
    struct span revision;     /* negotiated by initialize; empty: no legacy session */
    uint64_t initialized;     /* 1: notifications/initialized has come */
    struct span client;       /* clientInfo, JSON */
    struct span capabilities; /* JSON */
    uint64_t log_level;       /* 0: none was set; else 1 + enum theseus_level */
    struct span directory;    /* where the client works, once it said so */
};
extern const struct record_kind conn_kind;

/* How far a connection's streams have got, in bytes since its beginning. Owner: conn. */
struct position_record {
    uint64_t conn;     /* key */
    uint64_t cut;      /* input up to here is made into requests (or was none) */
    uint64_t skipping; /* 1: the rest of a line that is too long is being thrown away */
    uint64_t written;  /* output up to here has left */
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
};
extern const struct record_kind request_kind;

/* That request has entered a handler; without this record it is held. Owner: call. */
struct run_record {
    uint64_t conn, offset, index; /* key, the request's */
    uint64_t attempts;
};
extern const struct record_kind run_kind;

/* Bytes for a client that are not written yet: an answer or a notification. Owner: conn. */
struct output_record {
    uint64_t conn, offset; /* key; offset of the first byte */
    struct span bytes;
};
extern const struct record_kind output_kind;

/* Where a resumable call has got to. Owner: call. */
struct checkpoint_record {
    uint64_t conn, offset, index; /* key, the request's */
    struct span state;            /* JSON */
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
};
extern const struct record_kind listen_kind;

/* A value of theseus_state_put(). Owner: plugin. */
struct state_record {
    struct span plugin, name; /* key */
    struct span value;        /* JSON */
};
extern const struct record_kind state_kind;

/* The image that serves a plugin, and the last one known to be good. Owner: plugin. */
struct image_record {
    struct span plugin; /* key: its name */
    struct span file;   /* where it came from */
    struct span active_path, active_hash;
    struct span good_path, good_hash;
    uint64_t generation;
    uint64_t crashes;
};
extern const struct record_kind image_kind;

/* A child process that a call started. Owner: call. */
struct child_record {
    uint64_t pid;                 /* key */
    uint64_t start_time;          /* as /proc/PID/stat has it: tells a reused pid */
    uint64_t conn, offset, index; /* the call's request */
};
extern const struct record_kind child_kind;

/* The restart under way; there is at most one. Owner: server. */
struct restart_record {
    uint64_t number;              /* key */
    uint64_t conn, offset, index; /* the request that asked; 0: a signal */
    struct span reason, phase;
    uint64_t started_ms, attempt;
};
extern const struct record_kind restart_kind;

/* Numbers that must never be given out twice. Owner: server. */
struct counter_record {
    struct span name; /* key */
    uint64_t value;
};
extern const struct record_kind counter_kind;
