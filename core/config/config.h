/*
 * The configuration: one INI file and --set, read into a fresh structure that is complete and valid, or refused as a
 * whole with every problem named by file and line. Pure reading and comparing; watching the file is somebody else's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"

enum config_isolation { ISOLATION_NONE, ISOLATION_PROCESS };
enum config_call_by_name { CALL_BY_NAME_READ_ONLY, CALL_BY_NAME_YES, CALL_BY_NAME_NO };

/* A [plugin:NAME] or [tool:NAME] section, as it is written; what its keys mean is the plugin's business. */
struct config_section {
    char *name;       /* what stands behind the colon */
    json_t *settings; /* object of strings */
    json_t *host;     /* object of strings: the keys that begin with a point, without it */
    json_t *lines;    /* object: key as written to its line; config_section_line() reads it */
    char *file;       /* absolute; "--set" for a section that stands in no file */
    int line;         /* of its header; 0: in no file */

    /* What the host's own keys of a [plugin:NAME] section say. */
    enum config_isolation isolation;
    size_t memory;    /* of an isolated plugin, in bytes of address space */
    int call_timeout; /* seconds; 0: it says nothing */
};

struct config {
    char *file; /* absolute: where the settings came from, or would come from */
    char *text; /* of it; NULL: it does not exist */
    bool file_exists;
    char *
        *search; /* NULL-terminated: every file that was looked for, best first; creating a better one changes `file` */
    struct {
        char *name, *instructions, *state_dir, *runtime_dir;
        enum log_level log_level;
        int workers;
        bool core_dump;
    } server;
    struct {
        char **path; /* NULL-terminated, absolute */
        bool watch;
        int settle_ms;
        char **disable; /* NULL-terminated patterns, as for config_matches() */
    } plugins;
    struct {
        char **hide; /* NULL-terminated patterns, as for config_matches() */
    } tools;
    struct {
        size_t max_line;
        int max_in_flight;
        size_t max_buffered;
        int call_timeout; /* seconds */
        size_t max_result;
        int max_clients;
        int rate;       /* requests of one connection in a second; 0: no limit */
        int first_line; /* seconds; 0: no limit */
        size_t memory;  /* 0: no limit */
    } limits;
    struct {
        char *unix_path;    /* absolute */
        int session_expiry; /* seconds; 0: no session outlives its stream */
    } listen;
    struct {
        int total_restart, shutdown_timeout, task_suspension, process_startup; /* seconds */
        bool watch_binary;
    } restart;
    struct {
        int limit, window;              /* crashes of one image within so many seconds; 0: however many */
        int probation, probation_calls; /* seconds; a generation younger than both is new */
        int max_execs;                  /* 0: any number */
        int execs_window;               /* seconds; 0: no limit */
        bool guard;                     /* the ledger, against writes that go astray */
    } crash;
    struct {
        int max_buffer_size;   /* requests */
        int buffer_expiration; /* seconds; 0: never */
        int cleanup_interval;  /* seconds */
    } buffer;
    struct {
        char *key_file;
    } state;
    struct {
        int keep; /* seconds */
        int audit_lines;
    } history;
    struct {
        int promote_after; /* seconds; 0: never */
    } tasks;
    struct {
        char *file; /* empty: none */
    } metrics;
    struct {
        char **restart, **reload, **call; /* lists of principal.h; the first may be "confirm" */
        char **deny, **hide;              /* rules of principal.h */
        int confirm_within;               /* seconds */
        enum config_call_by_name call_by_name;
        char **allow_uid, **allow_gid; /* NULL-terminated; numbers and names */
    } access;
    struct config_section *plugin_sections; /* sorted by name */
    size_t plugin_count;
    struct config_section *tool_sections; /* sorted by name */
    size_t tool_count;
};

struct config_source {
    const char *path;        /* -c FILE; NULL: $THESEUS_CONFIG, the home's, the system's, whichever is there first */
    const char *const *sets; /* SECTION.KEY=VALUE each: stronger than the file; of two for one key the later */
    size_t set_count;
    const char *program;     /* absolute path of the binary; plugins/ beside it is the shipped directory. May be NULL */
    const char *system_file; /* instead of the system's theseus.ini. May be NULL */
    struct span text;        /* data not NULL: the text that `path` holds, which is then not opened */
    const char *text_file;   /* the file that `text` is of, if it is another one. May be NULL */
};

/* Called for every problem in the order of lines. `line` 0: of no line; `text` then says by itself what it is about. */
typedef void config_problem_fn(void *arg, const char *file, int line, const char *text);

/* A file that does not exist is no problem. `problem` may be NULL; `err` gets the first one as "FILE:LINE: text". */
MUST_CHECK int config_load(struct config **ret_config, const struct config_source *source, config_problem_fn *problem,
                           void *arg, struct theseus_error *err);

/*
 * The same for who only looks at servers that run: what is wrong with the file is told, and what cannot be read of it
 * has its default. -1: it is the command line that is wrong.
 */
enum { CONFIG_IN_PART = 1 };
MUST_CHECK int config_load_readable(struct config **ret_config, const struct config_source *source,
                                    config_problem_fn *problem, void *arg, struct theseus_error *err);

struct config *config_free(struct config *config);

/* An INI file in a plugin directory: [tool:NAME] sections and nothing else. It is valid as a whole or refused. */
MUST_CHECK int config_load_tools_file(const char *path, struct config_section **ret_sections, size_t *ret_count,
                                      config_problem_fn *problem, void *arg, struct theseus_error *err);
struct config_section *config_sections_free(struct config_section *sections, size_t count);

/* Borrowed; NULL: there is none of that name. `sections` is sorted by name, as those of struct config are. */
const struct config_section *config_section_find(const struct config_section *sections, size_t count, const char *name);

/* [plugin:NAME] .call_timeout: seconds; 0: it says nothing. */
int config_plugin_call_timeout(const struct config *config, const char *plugin);
/* How that plugin is kept: what its section says, or the defaults. */
enum config_isolation config_isolation_of(const struct config *config, const char *plugin, size_t *ret_memory);

/* The line of `key` (with its point where it has one), else the section's; 0: from --set, or in no file. */
int config_section_line(const struct config_section *section, const char *key);
bool config_section_same(const struct config_section *a, const struct config_section *b); /* lines aside */

/*
 * Names what differs: "section.key", "plugin:NAME", "tool:NAME" (also for those that only one of them has). `in_place`
 * is false when only a new process image can take the change.
 */
typedef void config_change_fn(void *arg, const char *name, bool in_place);
void config_diff(const struct config *before, const struct config *after, config_change_fn *change, void *arg);

/* Is the value of a section a reference to a secret (env:NAME, file:PATH)? Then it is resolved when it is used. */
bool config_is_secret_ref(const char *value);

/*
 * What the reference stands for; the caller frees it and prints it nowhere. A path is relative to `base_dir`. The file
 * must be trusted (fs_check_trusted) and not readable by others; its trailing newline is not part of the secret.
 */
MUST_CHECK int config_resolve_secret(const char *value, const char *base_dir, char **ret_value,
                                     struct theseus_error *err);

/* The known name that is nearest to what was written; NULL: none resembles it. Borrowed from `names`. */
const char *config_nearest(const char *name, const char *const *names, size_t count);

/* Does one of the NULL-terminated patterns (shell wildcards) match the name? */
bool config_matches(char *const *patterns, const char *name);

DEFINE_CLEANUP(struct config *, config_free)
