#include "config/option.h"

#include <stdlib.h>
#include <string.h>

#include "config/place.h"
#include "config/principal.h"
#include "config/words.h"

#define FIELD(name) .offset = offsetof(struct config, name)

enum { K = 1 << 10, M = 1 << 20, G = 1 << 30, DAY = 24 * 60 * 60 };

static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL}; /* as enum log_level */
static const char *const call_by_name[] = {"read_only", "yes", "no", NULL};          /* as enum config_call_by_name */

static const char *const confirm[] = {"confirm", NULL};

static void set_reload(struct config *config, const struct config_source *source) {
    (void)source;
    (void)words_free(config->access.reload);
    config->access.reload = words_copy(config->access.restart);
    if (principal_says(config->access.reload, *confirm)) {
        (void)words_free(config->access.reload);
        config->access.reload = words_split("yes", " ");
    }
}

/* In the order of the printed file; a section's rows stand together. A computed default finds the rows above it done.
 */
const struct option_def option_table[] = {
    {"server", "name", OPT_STRING, OPT_IN_PLACE, FIELD(server.name), .text = "theseus", .min = 1, .max = 128,
     .help = "the name that hosts show"},
    {"server", "instructions", OPT_STRING, OPT_IN_PLACE, FIELD(server.instructions), .text = option_instructions,
     .max = 16 * K, .help = "what the model is told about this server when a conversation begins"},
    {"server", "state_dir", OPT_PATH, OPT_NEEDS_REEXEC, FIELD(server.state_dir), .text = "~/.local/state/theseus",
     .help = "the database, the log, snapshots and the last good plugins"},
    {"server", "runtime_dir", OPT_PATH, OPT_NEEDS_REEXEC, FIELD(server.runtime_dir), .text = "",
     .compute = place_set_runtime_dir,
     .help = "the socket and private plugin copies; empty: /run/user/UID/theseus if /run/user/UID is the user's, else "
             "run/ in state_dir"},
    {"server", "log_level", OPT_ENUM, OPT_IN_PLACE, FIELD(server.log_level), .text = "info", .words = log_levels,
     .help = "what is written to the log file; stderr gets warnings and errors"},
    {"server", "workers", OPT_COUNT, OPT_IN_PLACE, FIELD(server.workers), .text = "4", .min = 1, .max = 256,
     .help = "threads for tools that may block"},
    {"server", "core_dump", OPT_BOOL, OPT_IN_PLACE, FIELD(server.core_dump), .text = "no",
     .help = "when the server crashes and goes on, a core is written, too"},

    {"plugins", "path", OPT_PATHS, OPT_IN_PLACE, FIELD(plugins.path), .text = "", .compute = place_set_plugin_path,
     .help = "directories with plugins (*.so) and tool files (*.ini); empty: ~/.local/share/theseus/plugins, then the "
             "shipped ones"},
    {"plugins", "watch", OPT_BOOL, OPT_IN_PLACE, FIELD(plugins.watch), .text = "yes",
     .help = "take up changed plugins, tool files and this file by themselves"},
    {"plugins", "settle_ms", OPT_MILLIS, OPT_IN_PLACE, FIELD(plugins.settle_ms), .text = "50", .max = 60000,
     .help = "quiet time before a changed file is looked at"},
    {"plugins", "disable", OPT_PATTERNS, OPT_IN_PLACE, FIELD(plugins.disable), .text = "",
     .help = "names of plugins that are not loaded"},

    {"tools", "hide", OPT_PATTERNS, OPT_IN_PLACE, FIELD(tools.hide), .text = "",
     .help = "names of tools that are not offered"},

    {"limits", "max_line", OPT_SIZE, OPT_IN_PLACE, FIELD(limits.max_line), .text = "8M", .min = K, .max = G,
     .help = "the longest message that is accepted"},
    {"limits", "max_in_flight", OPT_COUNT, OPT_IN_PLACE, FIELD(limits.max_in_flight), .text = "256", .min = 1,
     .max = 65536, .help = "requests of one connection that are worked on at a time; more are held"},
    {"limits", "max_buffered", OPT_SIZE, OPT_IN_PLACE, FIELD(limits.max_buffered), .text = "16M", .min = K, .max = G,
     .help = "bytes of one connection that are held, in either direction; at least max_line"},
    {"limits", "call_timeout", OPT_SECONDS, OPT_IN_PLACE, FIELD(limits.call_timeout), .text = "300", .min = 1,
     .max = DAY, .help = "from the acceptance of a call to its answer"},
    {"limits", "max_result", OPT_SIZE, OPT_IN_PLACE, FIELD(limits.max_result), .text = "8M", .min = K, .max = G,
     .help = "the longest answer; the text copy of structured content gives way to a note first"},
    {"limits", "max_clients", OPT_COUNT, OPT_IN_PLACE, FIELD(limits.max_clients), .text = "1024", .min = 1,
     .max = 60000, .help = "clients of the socket that are connected at a time; one more is told so and closed"},
    {"limits", "rate", OPT_COUNT, OPT_IN_PLACE, FIELD(limits.rate), .text = "0", .max = 1000000,
     .help = "requests of one connection that are begun in a second; more are held; 0: no limit"},
    {"limits", "first_line", OPT_SECONDS, OPT_IN_PLACE, FIELD(limits.first_line), .text = "10", .max = DAY,
     .help = "a client of the socket whose first message is not whole so long after it has begun is closed; 0: never"},
    {"limits", "memory", OPT_SIZE, OPT_IN_PLACE, FIELD(limits.memory), .text = "0", .max = (int64_t)K * G,
     .help = "memory that the server and its plugins may fill, at least 64M; 0: no limit"},

    {"listen", "unix", OPT_PATH, OPT_NEEDS_REEXEC, FIELD(listen.unix_path), .text = "", .compute = place_set_socket,
     .help = "the socket on which clients connect to a server that was started with --listen; empty: theseus.sock in "
             "runtime_dir"},
    {"listen", "session_expiry", OPT_DURATION, OPT_IN_PLACE, FIELD(listen.session_expiry), .text = "30m",
     .max = 30 * DAY,
     .help = "how long a session whose connection has ended is kept for 'theseus connect' to come back; 0: not at all"},

    {"restart", "total_restart", OPT_SECONDS, OPT_IN_PLACE, FIELD(restart.total_restart), .text = "30", .min = 10,
     .max = 300, .help = "how long a restart may take; a call's own timeout goes before it"},
    {"restart", "shutdown_timeout", OPT_SECONDS, OPT_IN_PLACE, FIELD(restart.shutdown_timeout), .text = "15",
     .max = 3600, .help = "how long running calls may take to end when the server leaves or restarts"},
    {"restart", "task_suspension", OPT_SECONDS, OPT_IN_PLACE, FIELD(restart.task_suspension), .text = "5", .max = 3600,
     .help = "how long calls may take to reach a checkpoint, or to end before their plugin is replaced"},
    {"restart", "process_startup", OPT_SECONDS, OPT_IN_PLACE, FIELD(restart.process_startup), .text = "10", .min = 1,
     .max = 600, .help = "how long the examination of a new plugin or of a new server may take"},
    {"restart", "watch_binary", OPT_BOOL, OPT_IN_PLACE, FIELD(restart.watch_binary), .text = "no",
     .help = "restart by itself when the program's file has changed"},

    {"crash", "limit", OPT_COUNT, OPT_IN_PLACE, FIELD(crash.limit), .text = "3", .max = 100,
     .help = "crashes of one plugin file within the window; then the last good one serves instead; 0: never"},
    {"crash", "window", OPT_SECONDS, OPT_IN_PLACE, FIELD(crash.window), .text = "60", .max = DAY,
     .help = "for how long a crash counts; 0: crashes are not counted"},
    {"crash", "probation", OPT_SECONDS, OPT_IN_PLACE, FIELD(crash.probation), .text = "60", .max = DAY,
     .help =
         "a plugin file that is younger, and has had fewer calls than probation_calls, goes at its first crash; one "
         "that is older and has had more is known to be good; 0: none is too young"},
    {"crash", "probation_calls", OPT_COUNT, OPT_IN_PLACE, FIELD(crash.probation_calls), .text = "100", .max = 1000000,
     .help = "answered calls of a plugin file; see probation; 0: none has had too few"},
    {"crash", "max_execs", OPT_COUNT, OPT_IN_PLACE, FIELD(crash.max_execs), .text = "20", .max = 1000000,
     .help =
         "after so many crashes within execs_window, and no request served in between, the server leaves; 0: never"},
    {"crash", "execs_window", OPT_SECONDS, OPT_IN_PLACE, FIELD(crash.execs_window), .text = "60", .max = DAY,
     .help = "see max_execs; 0: it never leaves for that"},
    {"crash", "guard", OPT_BOOL, OPT_IN_PLACE, FIELD(crash.guard), .text = "yes",
     .help = "what outlives a crash is kept from plugins that write where they should not"},

    {"buffer", "max_buffer_size", OPT_COUNT, OPT_IN_PLACE, FIELD(buffer.max_buffer_size), .text = "100", .max = 65536,
     .help = "requests of one connection held in parsed form while they cannot be served"},
    {"buffer", "buffer_expiration", OPT_SECONDS, OPT_IN_PLACE, FIELD(buffer.buffer_expiration), .text = "300",
     .max = DAY, .help = "a request that is held for longer, and was not begun, gets an error; 0: never"},
    {"buffer", "cleanup_interval", OPT_SECONDS, OPT_IN_PLACE, FIELD(buffer.cleanup_interval), .text = "60", .min = 1,
     .max = DAY, .help = "how often old snapshots, plugin copies of dead servers and old history are removed"},

    {"state", "key_file", OPT_PATH, OPT_NEEDS_REEXEC, FIELD(state.key_file), .text = "", .compute = place_set_key_file,
     .help = "the key that snapshots are sealed with, made when the first is written; empty: key in state_dir"},

    {"history", "keep", OPT_DURATION, OPT_IN_PLACE, FIELD(history.keep), .text = "90d", .min = 1, .max = 3650L * DAY,
     .help = "how long events of the history and lines of the audit are kept"},
    {"history", "audit_lines", OPT_COUNT, OPT_IN_PLACE, FIELD(history.audit_lines), .text = "100000", .min = 10,
     .max = 10000000, .help = "how many lines the audit has at most; the oldest go first"},

    {"tasks", "promote_after", OPT_SECONDS, OPT_IN_PLACE, FIELD(tasks.promote_after), .text = "30", .max = DAY,
     .help =
         "a call that runs for so long becomes a task, where the client knows tasks; 0: only those of tools that say "
         "that they take long"},

    {"metrics", "file", OPT_PATH, OPT_IN_PLACE, FIELD(metrics.file), .text = "", .compute = place_set_metrics_file,
     .help = "figures for a collector of metrics are written to it every 15 s, in the text format of Prometheus; "
             "empty: nowhere"},

    {"access", "restart", OPT_WHO, OPT_IN_PLACE, FIELD(access.restart), .text = "yes", .words = confirm,
     .help = "whose clients may restart the server; confirm: everybody's, when the person at the client agrees each "
             "time"},
    {"access", "reload", OPT_WHO, OPT_IN_PLACE, FIELD(access.reload), .text = "", .compute = set_reload,
     .help = "whose clients may reload the server; empty: as restart says, and yes where that says confirm"},
    {"access", "call", OPT_WHO, OPT_IN_PLACE, FIELD(access.call), .text = "yes",
     .help = "whose clients may call tools and read resources"},
    {"access", "deny", OPT_RULES, OPT_IN_PLACE, FIELD(access.deny), .text = "",
     .help = "tools that are offered and may not be called, and to whom"},
    {"access", "hide", OPT_RULES, OPT_IN_PLACE, FIELD(access.hide), .text = "",
     .help = "tools that are not there, and for whom"},
    {"access", "confirm_within", OPT_SECONDS, OPT_IN_PLACE, FIELD(access.confirm_within), .text = "120", .min = 1,
     .max = 3600, .help = "how long the person may take to agree to a restart; then it is refused"},
    {"access", "call_by_name", OPT_ENUM, OPT_IN_PLACE, FIELD(access.call_by_name), .text = "read_only",
     .words = call_by_name, .help = "what theseus_call may run: read-only tools, every tool, or none"},
    {"access", "allow_uid", OPT_USERS, OPT_IN_PLACE, FIELD(access.allow_uid), .text = "",
     .help = "users, by number or name, who may connect to the socket beside the server's own"},
    {"access", "allow_gid", OPT_GROUPS, OPT_IN_PLACE, FIELD(access.allow_gid), .text = "",
     .help = "groups, by number or name, whose members may connect to the socket"},
};

const size_t option_count = ARRAY_SIZE(option_table);

const struct option_def *option_find(const char *section, const char *key) {
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].section, section) == 0 && strcmp(option_table[i].key, key) == 0)
            return &option_table[i];
    return NULL;
}

const char **option_sections(size_t *ret_count) {
    const char **names = xcalloc(option_count, sizeof(*names));

    *ret_count = 0;
    for (size_t i = 0; i < option_count; i++)
        if (*ret_count == 0 || strcmp(names[*ret_count - 1], option_table[i].section) != 0)
            names[(*ret_count)++] = option_table[i].section;
    return names;
}

const char **option_keys(const char *section, size_t *ret_count) {
    const char **names = xcalloc(option_count, sizeof(*names));

    *ret_count = 0;
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].section, section) == 0)
            names[(*ret_count)++] = option_table[i].key;
    return names;
}
