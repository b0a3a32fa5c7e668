/*
 * MCP's methods: one file each behind a row of the table in dispatch.c.
 *
 * Which era a request belongs to is decided by the request itself: one that carries the modern members of params._meta
 * is modern, whatever came before on the connection; any other belongs to the legacy session, if `initialize` has begun
 * one.
 */
#pragma once

#include "base/thread.h"
#include "conn/conn.h"
#include "plugin/host.h"

struct plugins;

/* What the methods work on; filled by the server, lives as long as any connection. */
struct method_env {
    struct loop *loop;
    const struct config *const *config;
    struct plugin_host *plugin_host;
    struct plugins *plugins;
    json_t *server_info;   /* Implementation */
    struct list waiting;   /* requests that wait for the first load of the plugins; private */
    const char *boot_id;   /* of this image */
    const char *directory; /* where the server, and so its stdio client, was started */
    /* Work is really wanted: what a mere probe must not bring about may happen now. */
    void (*wake)(void *arg);
    /* Optional: is this a call that somebody else answers, since it was begun by an earlier image of the process? */
    bool (*claims)(void *arg, struct call *call);
    /* Optional: is there too little memory for more work? The text says so; NULL: there is enough. Owned. */
    char *(*refuses)(void *arg);
    /* Optional: answers the call, which asks to take over a session with this connection's stream. */
    void (*resume)(void *arg, struct conn *conn, struct call *call);
    /* Optional: a client has got answers, which were kept for it and are not any more. */
    void (*acknowledged)(void *arg);
    /* Optional: the client answers a request that was not made here. False: it is none of that one's either. */
    bool (*answered)(void *arg, struct conn *conn, const struct message *message);
    /* Optional: calls that may become tasks, and the tasks. Each is answered by whoever has them. */
    const struct method_tasks *tasks;
    void *arg;
};

/* `arg` is the environment's. */
struct method_tasks {
    void (*offer)(void *arg, struct conn *conn, struct call *call, bool now);
    bool (*runs)(void *arg, const char *id); /* may there be news of it? */
    void (*get)(void *arg, struct call *call, const char *id);
    void (*cancel)(void *arg, struct call *call, const char *id);
    void (*update)(void *arg, struct call *call, const char *id);
};

void method_env_init(struct method_env *env);
void method_env_fini(struct method_env *env) ON_LOOP;

/* The operations of conn_ops; `arg` is the struct method_env. */
bool method_is_urgent(void *arg, const struct message *message);
void method_on_request(void *arg, struct conn *conn, struct call *call);
void method_on_listening(void *arg, struct conn *conn, struct call *call);
void method_on_notification(void *arg, struct conn *conn, const struct message *message);
void method_on_response(void *arg, struct conn *conn, const struct message *message);

/* Makes a call answerable that no method is to be run for. */
void method_adopt(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;

/* ---- for the files of this folder ---- */

typedef void method_fn(struct method_env *env, struct conn *conn, struct call *call);

void method_initialize(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
bool method_speaks(struct call *call) ON_LOOP; /* a protocol that we understand? Else it is answered */
void method_hello(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_resume(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
/* Is it a notification of `theseus connect`'s own? Then it is worked on. */
bool method_of_socket(struct method_env *env, struct conn *conn, const struct message *message) ON_LOOP;
void method_ping(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_discover(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_tools_list(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_tools_call(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_set_level(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_listen(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;

void method_resources_list(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_resources_templates(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_resources_read(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_resources_subscribe(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_resources_unsubscribe(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
bool method_has_resource(const struct method_env *env, const char *uri) ON_LOOP;
/* Who asks, for a handler: set before it is begun. */
void method_set_client(const struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_tasks_get(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_tasks_cancel(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
void method_tasks_update(struct method_env *env, struct conn *conn, struct call *call) ON_LOOP;
/* False: the client does not, and the call has been answered with that. */
bool method_tasks_are_known(struct method_env *env, struct call *call) ON_LOOP;
/* A call of a tool by a client that knows tasks may become one. */
void method_tasks_offer(struct method_env *env, struct conn *conn, struct call *call, const char *tool) ON_LOOP;

/* {"tools": …, "logging": …}; new reference. */
json_t *method_capabilities_new(const struct method_env *env, bool modern);
/* Asks a legacy client that has roots which they are: the first one is the directory it works in. */
void method_ask_roots(struct method_env *env, struct conn *conn) ON_LOOP;
void method_take_roots(struct conn *conn, const struct message *message) ON_LOOP;
/* -32602 with a text. */
void method_refuse_params(struct call *call, const char *text);
