/*
 * The contract between Theseus and its plugins.
 *
 * A plugin is one shared object that exports one symbol, `theseus_plugin`: a constant structure that says everything.
 * There is nothing to register and nothing to construct, and a plugin has no mutable globals: all its state hangs off
 * the pointer that `start` returns. That is what lets two generations of it live side by side while one replaces the
 * other.
 *
 *     static int echo_call(struct theseus_call *call, void *self, const json_t *args) {
 *         (void)self;
 *         return theseus_reply_text(call, "%s", json_string_value(json_object_get(args, "message")));
 *     }
 *     static const struct theseus_tool tools[] = {
 *         {.name = "echo", .description = "Says back what it is told.", .input_schema = "{…}", .call = echo_call},
 *         {0},
 *     };
 *     const struct theseus_plugin theseus_plugin = {
 *         .abi = THESEUS_ABI, .size = sizeof(struct theseus_plugin), .name = "echo", .version = "1.0.0", .tools =
 * tools,
 *     };
 *
 * Build: cc -shared -fPIC $(pkg-config --cflags theseus) -o echo.so echo.c      (a plugin has no undefined symbols of
 * ours)
 *
 * Words: *borrowed* = stays the other side's; *new reference* = yours, json_decref() it; *steals* = the function takes
 * your reference in every case, also when it fails. Text is UTF-8. Times are seconds unless the name says otherwise.
 * Threads: a slot or function says where it runs; "any thread" means any thread of this process.
 * Compatibility: `abi` must match, `size` may be smaller (an older plugin on a newer host); every structure here only
 * ever grows at its end.
 */
#ifndef THESEUS_PLUGIN_H
#define THESEUS_PLUGIN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <jansson.h>

#include <theseus/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define THESEUS_ABI 1

struct theseus_call; /* one run of a tool */
struct theseus_ctx;  /* one generation of a plugin, as the host sees it */
struct theseus_host; /* the host's functions */
struct sqlite3;
struct sqlite3_stmt;

/* ---- tools ---------------------------------------------------------------------------------------------------------
 */

/* What a handler returns. Anything else, or THESEUS_DONE without a reply, is answered with an error. */
enum {
    THESEUS_DONE = 0,      /* it replied */
    THESEUS_LATER = 1,     /* it will reply, from any thread; `call` and `args` live until it does */
    THESEUS_SUSPENDED = 2, /* it was asked to stop (theseus_suspending), made its checkpoint, and did not reply */
};

/* Flags of a tool. One with none of the first four counts as destructive and is never run twice. */
enum {
    THESEUS_READ_ONLY = 1 << 0,   /* changes nothing; may be run again */
    THESEUS_DESTRUCTIVE = 1 << 1, /* may destroy something */
    THESEUS_IDEMPOTENT = 1 << 2,  /* running it again with the same arguments changes nothing more; may be run again */
    THESEUS_OPEN_WORLD = 1 << 3,  /* reaches beyond this machine */
    THESEUS_INLINE = 1 << 4,      /* never blocks: runs on the loop thread, where each microsecond is everybody's */
    THESEUS_RESUMABLE = 1 << 5,   /* stops at a checkpoint when asked, and promises that running again from its last
                                     checkpoint is harmless: checkpoint before an effect, not after it */
    THESEUS_SERIAL = 1 << 6,      /* never runs beside itself */
    THESEUS_LONG = 1 << 7,        /* takes long: offered as an MCP task where the client can */
    THESEUS_HIDDEN = 1 << 8,      /* not in tools/list: for commands and programs that know its name */
    THESEUS_KEYED = 1 << 9, /* with THESEUS_IDEMPOTENT: it is the call (theseus_call_key()) that may be run again, and
                                     another one with the same arguments does more: no client is told otherwise */
};

struct theseus_tool {
    const char *name;          /* mandatory: [A-Za-z0-9_-], at most 64 characters, unique on the server */
    const char *title;         /* optional: for people */
    const char *description;   /* optional, but a model chooses by it: begin with when to use the tool */
    const char *input_schema;  /* JSON Schema 2020-12 as text, its root of type object. NULL: takes no arguments */
    const char *output_schema; /* the same for structuredContent. NULL: none */
    unsigned flags;
    /*
     * Mandatory. `args` (borrowed, an object) has passed the input schema. Runs on a worker thread, several at a time
     * unless THESEUS_SERIAL, or on the loop thread if THESEUS_INLINE. `self` is what `start` returned.
     */
    int (*call)(struct theseus_call *call, void *self, const json_t *args);
    unsigned timeout; /* seconds; 0: the configured limits.call_timeout */
    /*
     * Optional: theseus_tool_data() of its calls, for handlers that serve several tools. A call has the data of the
     * very tool whose schema its arguments have passed, also while that is being replaced.
     */
    void *data;
    /*
     * Optional, for tools that are added at run time: called once with `data` when the tool is gone and no call of it
     * is left, on any thread, perhaps from inside theseus_tool_remove(). It may not wait. If theseus_tool_add() fails
     * it is not called.
     */
    void (*release)(void *data);
    void *reserved[1]; /* zero */
};

/* ---- resources ------------------------------------------------------------------------------------------------------
 */

/*
 * Something to be read under a URI. "notes://today" is one resource; "notes://day/{date}" is a template: {date} stands
 * for one or more characters other than '/', as they are written in the URI.
 */
struct theseus_resource {
    const char *uri;         /* mandatory: a scheme, "://", and no white space; unique on the server */
    const char *name;        /* mandatory: a short name for programs and people */
    const char *title;       /* optional: for people */
    const char *description; /* optional: what is in it */
    const char *mime_type; /* optional: of the text; NULL: text/plain, or application/json from theseus_reply_json() */
    /*
     * Mandatory. As a tool that is THESEUS_READ_ONLY; `args` has "uri" and what stands for the names of the template.
     * theseus_reply_text() or theseus_reply_json() give the content; theseus_reply_error() says that there is no such
     * resource.
     */
    int (*read)(struct theseus_call *call, void *self, const json_t *args);
    void *reserved[2]; /* zero */
};

/* ---- the plugin ----------------------------------------------------------------------------------------------------
 */

/* Flags of a plugin. */
enum {
    THESEUS_SHARED_STATE = 1 << 0, /* all state is in theseus_state_… or the database: generations may overlap in use */
    /* Where the database has nothing of this plugin yet, its `migrations` are applied by the first theseus_db() or
     * theseus_statement() instead of before `start`: a server that is never asked for it makes no database. */
    THESEUS_SCHEMA_ON_USE = 1 << 1,
};

/*
 * All slots but `abi`, `size`, `name` and `version` are optional; NULL: nothing to do. `start`, `activate`, `selftest`,
 * `check`, `configure`, `save` and `stop` run on a thread of the host's that is neither the loop nor a worker, one at a
 * time, with a time limit; a slot that exceeds it is given up and its generation refused. A function that returns int
 * says 0, or -1 with `err` filled (theseus_fail).
 */
struct theseus_plugin {
    uint32_t abi;            /* THESEUS_ABI */
    uint32_t size;           /* sizeof(struct theseus_plugin) */
    const char *name;        /* mandatory: as a tool's name. A newer file with this name replaces this plugin */
    const char *version;     /* mandatory: any text; shown */
    const char *description; /* shown */
    /*
     * Makes the state of this generation: *ret_self (may stay NULL). No effect outside the process yet: the generation
     * may still be refused. theseus_config() and theseus_saved() can be read here.
     */
    int (*start)(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err);
    /* Serving begins, and the generation before is out of the way: what must happen outside the process happens here.
     */
    int (*activate)(void *self, struct theseus_error *err);
    /* After `start`, before serving: does it work? A failure refuses this generation; the one before goes on serving.
     */
    int (*selftest)(void *self, struct theseus_error *err);
    /*
     * JSON Schema (text, an object) of section [plugin:NAME]. The strings of the file are converted to the types
     * declared here, defaults are filled in, unknown keys are refused. "writeOnly": a secret. NULL: the section may
     * hold nothing.
     */
    const char *config_schema;
    /*
     * A section prefix such as "tool": every [tool:NAME] section is handed to this plugin too, as member "tool" of its
     * configuration: {"tool": {"NAME": {"key": "text as written", …}, …}}.
     */
    const char *sections;
    /*
     * Would it take these settings? Without effect; calls may be running. A plugin with `sections` is also asked before
     * `start`, when `self` is still NULL. To have the file and line named, begin the
     * message with the section and key: "[tool:build] timeout: must be a number".
     */
    int (*check)(void *self, const json_t *config, struct theseus_error *err);
    /* Takes them in place. Calls may be running: lock. Only after every plugin concerned agreed to `check`. Tools that
     * are added and removed meanwhile come and go together at its end; if it fails, not at all. NULL: a changed section
     * makes a new generation. */
    int (*configure)(void *self, const json_t *config, struct theseus_error *err);
    /*
     * New reference: what the next generation, or this one after a restart of the server, finds as theseus_saved(),
     * once; it must be JSON and no longer than 8 MiB as text, or the restart is refused. With this slot (and without
     * THESEUS_SHARED_STATE) a replacement waits until no call of this plugin runs, so that no update falls between.
     */
    json_t *(*save)(void *self);
    /* Frees what `start` made and joins its threads. No call is running any more. Not called before a restart. */
    void (*stop)(void *self);
    /*
     * SQL, one step each, NULL-terminated; append only: a published step never changes. Those that are pending are
     * applied before `start`: at once where the plugin has no tables yet, else by a restart of the server, together
     * with those of all other plugins, in one transaction and behind a backup. They stay applied when `start` fails
     * then.
     *
     * What is too large for a row may be a file in the directory `artifacts` beside the database, called by the SHA-256
     * of what it holds (hexadecimal, lower case), and on the disk before the row. A view called after the plugin,
     * NAME_files, with the columns `name` and `bytes` says which files the rows name: `theseus check --deep` and
     * `theseus backup` compare them.
     *
     * A view NAME_figures with the columns `name`, `label` (text, or NULL) and `value` (a number) is what the plugin
     * has to say in numbers: `theseus status` and `theseus metrics` read it.
     */
    const char *const *migrations;
    const struct theseus_tool *tools; /* ends with {0} */
    unsigned flags;
    const struct theseus_resource *resources; /* ends with {0} */
    /*
     * The first client has subscribed to one of its resources (`on`), or the last one has gone. A plugin that has to
     * look for changes looks only at these, and only while there are any; one that learns of them by itself needs no
     * such slot. On the loop thread, before the client hears that its subscription holds: it takes a note and returns.
     * A new generation is told of all that there are. Not called for a plugin in a process of its own.
     */
    void (*subscribed)(void *self, const char *uri, bool on);
};

/* The one symbol. The declaration gives it C linkage and visibility whatever the compiler's flags are. */
#if defined(__GNUC__)
extern const struct theseus_plugin theseus_plugin __attribute__((visibility("default")));
#else
extern const struct theseus_plugin theseus_plugin;
#endif

/* ---- the host ------------------------------------------------------------------------------------------------------
 */

/* As in MCP's notifications/message. */
enum theseus_level {
    THESEUS_DEBUG,
    THESEUS_INFO,
    THESEUS_NOTICE,
    THESEUS_WARNING,
    THESEUS_ERROR,
    THESEUS_CRITICAL,
    THESEUS_ALERT,
    THESEUS_EMERGENCY,
};

/* Who asks. All text is borrowed for the life of the call; what is not known is "". */
struct theseus_client_info {
    const char *name, *version; /* as the client calls itself: for display, not for decisions */
    const char *transport;      /* "stdio" or "unix" */
    const char *session;        /* id of the connection's session */
    const char *directory;      /* where the client works: absolute path */
    long uid;                   /* -1: unknown */
};

/* Returns the next value (new reference) from the present one (borrowed; NULL: none). NULL: leave it as it is. */
typedef json_t *theseus_state_fn(const json_t *current, void *arg);
typedef void theseus_thread_fn(void *arg);

/*
 * Every function of the host, for languages that cannot use the inline functions below; those say what each does.
 * `size` is the table's: a function beyond it is not there on this host.
 */
struct theseus_host {
    uint32_t abi, size;
    /* of a call; any thread */
    int (*reply)(struct theseus_call *call, json_t *result);
    int (*reply_json)(struct theseus_call *call, json_t *value);
    int (*reply_json_text)(struct theseus_call *call, const char *text);
    int (*reply_text)(struct theseus_call *call, const char *text);
    int (*reply_error)(struct theseus_call *call, const char *text);
    void (*progress)(struct theseus_call *call, double done, double total, const char *message);
    bool (*cancelled)(const struct theseus_call *call);
    bool (*suspending)(const struct theseus_call *call);
    int (*checkpoint)(struct theseus_call *call, json_t *state);
    const json_t *(*resume_state)(const struct theseus_call *call);
    const char *(*call_key)(const struct theseus_call *call);
    const char *(*tool_name)(const struct theseus_call *call);
    const char *(*args_text)(struct theseus_call *call);
    int (*call_tool)(struct theseus_call *call, const char *name, json_t *args, json_t **ret_result);
    const struct theseus_client_info *(*client)(struct theseus_call *call);
    void (*log)(struct theseus_call *call, int level, const char *text);
    json_t *(*control)(struct theseus_call *call, const char *verb, const json_t *args);
    int (*child_started)(struct theseus_call *call, long pid);
    void (*child_ended)(struct theseus_call *call, long pid);
    /* of a plugin; any thread */
    const json_t *(*config)(const struct theseus_ctx *ctx);
    const json_t *(*saved)(const struct theseus_ctx *ctx);
    int (*state_put)(struct theseus_ctx *ctx, const char *key, json_t *value);
    json_t *(*state_get)(struct theseus_ctx *ctx, const char *key);
    int (*state_update)(struct theseus_ctx *ctx, const char *key, theseus_state_fn *update, void *arg);
    struct sqlite3 *(*db)(struct theseus_ctx *ctx);
    struct sqlite3_stmt *(*statement)(struct theseus_ctx *ctx, const char *sql);
    int (*thread)(struct theseus_ctx *ctx, theseus_thread_fn *run, void *arg);
    void (*thread_join)(struct theseus_ctx *ctx, int thread);
    int (*tool_add)(struct theseus_ctx *ctx, const struct theseus_tool *tool);
    int (*tool_remove)(struct theseus_ctx *ctx, const char *name);
    void (*ctx_log)(struct theseus_ctx *ctx, int level, const char *text);
    const char *(*last_error)(void);
    /* of a call; any thread */
    void *(*tool_data)(const struct theseus_call *call);
    /* of a plugin; any thread */
    int (*resource_changed)(struct theseus_ctx *ctx, const char *uri);
};

/* The part of a call and of a context that plugins see; the host's own part lies behind it. */
struct theseus_call {
    const struct theseus_host *host;
};

struct theseus_ctx {
    const struct theseus_host *host;
};

/* Formats into a buffer of the caller's, or into memory that *ret_heap owns where that is too small. Never NULL. */
static inline const char *theseus_format(char *buffer, size_t size, char **ret_heap, const char *format, va_list args)
    THESEUS_PRINTF_LIKE(4, 0);

static inline const char *theseus_format(char *buffer, size_t size, char **ret_heap, const char *format, va_list args) {
    va_list again;
    int needed;

    *ret_heap = NULL;
    va_copy(again, args);
    needed = vsnprintf(buffer, size, format, args);
    if (needed >= (int)size) {
        *ret_heap = (char *)malloc((size_t)needed + 1);
        if (*ret_heap != NULL)
            (void)vsnprintf(*ret_heap, (size_t)needed + 1, format, again);
    }
    va_end(again);
    return *ret_heap != NULL ? *ret_heap : buffer;
}

/* ---- answering a call: exactly one of these, once; afterwards `call` may not be used ---- */

/*
 * A whole CallToolResult: {"content": […], "structuredContent": …, "isError": …}. Steals `result`. These functions
 * return THESEUS_DONE, also when the client has gone or has cancelled (the result is then dropped), so that a handler
 * can end with `return theseus_reply…`.
 */
static inline int theseus_reply(struct theseus_call *call, json_t *result) {
    return call->host->reply(call, result);
}

/* structuredContent, plus its text copy. Steals `value`. */
static inline int theseus_reply_json(struct theseus_call *call, json_t *value) {
    return call->host->reply_json(call, value);
}

/* The same from JSON text; text that is not JSON is answered as an error of the tool. */
static inline int theseus_reply_json_text(struct theseus_call *call, const char *text) {
    return call->host->reply_json_text(call, text);
}

/* One text content item. */
static inline int theseus_reply_text(struct theseus_call *call, const char *format, ...) THESEUS_PRINTF_LIKE(2, 3);
static inline int theseus_reply_text(struct theseus_call *call, const char *format, ...) {
    char buffer[1024], *heap;
    va_list args;
    int r;

    va_start(args, format);
    r = call->host->reply_text(call, theseus_format(buffer, sizeof(buffer), &heap, format, args));
    va_end(args);
    free(heap);
    return r;
}

/* The tool failed: isError, with this text for the model. Say what to do about it. */
static inline int theseus_reply_error(struct theseus_call *call, const char *format, ...) THESEUS_PRINTF_LIKE(2, 3);
static inline int theseus_reply_error(struct theseus_call *call, const char *format, ...) {
    char buffer[1024], *heap;
    va_list args;
    int r;

    va_start(args, format);
    r = call->host->reply_error(call, theseus_format(buffer, sizeof(buffer), &heap, format, args));
    va_end(args);
    free(heap);
    return r;
}

/* ---- while a call runs ----------------------------------------------------------------------------------------------
 */

/*
 * How far it is: `done` of `total` (0: unknown), with a text or NULL. Nothing happens where the client gave no token,
 * or `done` did not grow. May be called often: what is too much is dropped.
 */
static inline void theseus_progress(struct theseus_call *call, double done, double total, const char *message) {
    call->host->progress(call, done, total, message);
}

/* Has the client cancelled, or has the time run out? Ask in long loops; then free what you hold and return (a reply is
 * dropped, but still ends the call: THESEUS_DONE without a reply is right here). */
static inline bool theseus_cancelled(const struct theseus_call *call) {
    return call->host->cancelled(call);
}

/* Does the server wait for this call to stop at a checkpoint? A THESEUS_RESUMABLE tool then returns THESEUS_SUSPENDED.
 */
static inline bool theseus_suspending(const struct theseus_call *call) {
    return call->host->suspending(call);
}

/* Where this call has got to: survives a restart and a crash at once. Steals `state`. 0, or -1: too large (last_error).
 */
static inline int theseus_checkpoint(struct theseus_call *call, json_t *state) {
    return call->host->checkpoint(call, state);
}

/* Borrowed: the last checkpoint of an earlier run of this very call. NULL: this is the first run. */
static inline const json_t *theseus_resume_state(const struct theseus_call *call) {
    return call->host->resume_state(call);
}

/* Unique, and the same on every attempt of this call: store it beside your write, and the write happens exactly once.
 */
static inline const char *theseus_call_key(const struct theseus_call *call) {
    return call->host->call_key(call);
}

/* The name under which the tool was called: one handler can serve several tools. */
static inline const char *theseus_tool_name(const struct theseus_call *call) {
    return call->host->tool_name(call);
}

/* The member `data` of the tool that was called. */
static inline void *theseus_tool_data(const struct theseus_call *call) {
    return call->host->tool_data(call);
}

/* The arguments as JSON text, for authors without jansson. Borrowed for the life of the call. */
static inline const char *theseus_args_text(struct theseus_call *call) {
    return call->host->args_text(call);
}

/*
 * Runs another tool as part of this call, on this thread: validated as if a client had asked; shares cancellation,
 * deadline and progress (what it reports counts as a part of the step at which this call is); at most 8 deep. Steals
 * `args` (NULL: {}). Returns 0 with the CallToolResult (new reference; look at its isError), or -1: no such tool, or
 * not to be run here (theseus_last_error).
 */
static inline int theseus_call_tool(struct theseus_call *call, const char *name, json_t *args, json_t **ret_result) {
    return call->host->call_tool(call, name, args, ret_result);
}

static inline const struct theseus_client_info *theseus_client(struct theseus_call *call) {
    return call->host->client(call);
}

/* A log line, and notifications/message where the client asked for this level (enum theseus_level). No secrets. */
static inline void theseus_log(struct theseus_call *call, int level, const char *format, ...) THESEUS_PRINTF_LIKE(3, 4);
static inline void theseus_log(struct theseus_call *call, int level, const char *format, ...) {
    char buffer[1024], *heap;
    va_list args;

    va_start(args, format);
    call->host->log(call, level, theseus_format(buffer, sizeof(buffer), &heap, format, args));
    va_end(args);
    free(heap);
}

/*
 * Services of the core, checked against [access]: "plugins", "reload", "may_call" ({"name": …}: may it be called by
 * name?). New reference: an object; with a member "error" (text) where it was refused or failed. Blocks: not from a
 * tool that is THESEUS_INLINE.
 */
static inline json_t *theseus_control(struct theseus_call *call, const char *verb, const json_t *args) {
    return call->host->control(call, verb, args);
}

/*
 * A child process that this call started, leader of a process group of its own, and its end (after it was reaped by
 * you). Recorded, so that it is ended as a group if the server's image goes away under it. 0, or -1 (kill it: it is not
 * recorded).
 */
static inline int theseus_child_started(struct theseus_call *call, long pid) {
    return call->host->child_started(call, pid);
}

static inline void theseus_child_ended(struct theseus_call *call, long pid) {
    call->host->child_ended(call, pid);
}

/* ---- of a plugin: `ctx` is good from `start` until `stop` has returned; any thread ---- */

/* Borrowed: the section [plugin:NAME], converted and completed by config_schema. Good until `stop`, also after
 * `configure`. */
static inline const json_t *theseus_config(const struct theseus_ctx *ctx) {
    return ctx->host->config(ctx);
}

/* Borrowed, during `start` only: what `save` of the generation before returned, or before a restart its own. NULL:
 * there was none, or the server crashed. */
static inline const json_t *theseus_saved(const struct theseus_ctx *ctx) {
    return ctx->host->saved(ctx);
}

/* State that the core keeps under this plugin's *name*: it survives reload, restart and crash. `put` steals, the last
 * one wins, a JSON null removes the key; 0, or -1: too large, or too many keys (theseus_last_error). */
static inline int theseus_state_put(struct theseus_ctx *ctx, const char *key, json_t *value) {
    return ctx->host->state_put(ctx, key, value);
}

/* New reference; NULL: there is none. */
static inline json_t *theseus_state_get(struct theseus_ctx *ctx, const char *key) {
    return ctx->host->state_get(ctx, key);
}

/* Changes it: one at a time, across threads and generations; who puts or updates the same key waits for `update`, who
 * reads it does not. `update` may not call state functions. */
static inline int theseus_state_update(struct theseus_ctx *ctx, const char *key, theseus_state_fn *update, void *arg) {
    return ctx->host->state_update(ctx, key, update, arg);
}

/* The server's database, one connection a thread, migrated to what `migrations` asks. Borrowed; NULL:
 * theseus_last_error, also when a later version of the plugin, in another process, has migrated it further. So ask for
 * it in each call, and do not keep it. */
static inline struct sqlite3 *theseus_db(struct theseus_ctx *ctx) {
    return ctx->host->db(ctx);
}

/* A statement, prepared once a thread, reset and with no bindings. Borrowed: never finalise it. NULL:
 * theseus_last_error. */
static inline struct sqlite3_stmt *theseus_statement(struct theseus_ctx *ctx, const char *sql) {
    return ctx->host->statement(ctx, sql);
}

/*
 * A thread with what the server needs to survive its faults. Returns its number, or -1. `stop` tells it to end and
 * joins it; what `stop` has not joined, the host joins after it.
 */
static inline int theseus_thread(struct theseus_ctx *ctx, theseus_thread_fn *run, void *arg) {
    return ctx->host->thread(ctx, run, arg);
}

static inline void theseus_thread_join(struct theseus_ctx *ctx, int thread) {
    ctx->host->thread_join(ctx, thread);
}

/* Tools that come and go at run time; with those of its table a plugin has 1,024 at most. The texts are copied. In
 * `start`, `activate` or `configure` they belong to the change that is being made; otherwise they appear at once. 0, or
 * -1 (theseus_last_error). */
static inline int theseus_tool_add(struct theseus_ctx *ctx, const struct theseus_tool *tool) {
    return ctx->host->tool_add(ctx, tool);
}

static inline int theseus_tool_remove(struct theseus_ctx *ctx, const char *name) {
    return ctx->host->tool_remove(ctx, name);
}

/* What is read under this URI (of one of the plugin's resources) is another thing now: clients that subscribed are
 * told. 0, or -1: this host has no resources (theseus_last_error). */
static inline int theseus_resource_changed(struct theseus_ctx *ctx, const char *uri) {
    size_t needed = offsetof(struct theseus_host, resource_changed) + sizeof(ctx->host->resource_changed);

    return ctx->host->size >= needed ? ctx->host->resource_changed(ctx, uri) : -1;
}

/* A log line without a call. */
static inline void theseus_ctx_log(struct theseus_ctx *ctx, int level, const char *format, ...)
    THESEUS_PRINTF_LIKE(3, 4);
static inline void theseus_ctx_log(struct theseus_ctx *ctx, int level, const char *format, ...) {
    char buffer[1024], *heap;
    va_list args;

    va_start(args, format);
    ctx->host->ctx_log(ctx, level, theseus_format(buffer, sizeof(buffer), &heap, format, args));
    va_end(args);
    free(heap);
}

/* Why the last function on this thread returned -1 or NULL. Borrowed until the next one. */
static inline const char *theseus_last_error(const struct theseus_host *host) {
    return host->last_error();
}

#ifdef __cplusplus
}
#endif

#endif
