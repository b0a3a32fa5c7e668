/*
 * Tasks under load: tasks [OPTIONS] -- SERVER ARGS…, and tasks -b FILE [OPTIONS]
 *
 * Keeps D calls in flight: N tasks are planned, each is updated to in_progress, and each is completed, and every answer
 * is judged. Then pages of 100 tasks are asked for one by one, by state and by words. With -b it is the yardstick: the
 * statements of those three calls in a bare loop of C, in transactions of D, on a database of its own. They are the
 * plugin's, word for word, also those of a group.
 *
 * The server groups the calls itself. With -c it is counted in how many transactions it wrote each of the three parts
 * (`transactions`); with -t the bare loop writes them in as many.
 */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "lib/child.h"
#include "lib/lines.h"
#include "lib/samples.h"

#include "../../plugins/tasks/schema.c"

enum { PATIENCE_S = 600, NAME = 32, PAGE = 100, KEPT_BYTES = 64 << 20 };

enum phase { PLAN, UPDATE, COMPLETE, PHASES };

static const char *const phases[PHASES] = {"plan", "update", "complete"};

struct options {
    unsigned depth, count, queries;
    unsigned transactions[PHASES]; /* 0: in as few as DEPTH allows */
    const char *bare, *durability, *database;
    char **server;
};

static const char usage[] = "usage: tasks [OPTIONS] -- SERVER ARGS...\n"
                            "       tasks -b FILE [OPTIONS]\n"
                            "  -c FILE     the server's database, whose transactions are counted\n"
                            "  -t P,U,C    transactions of the bare loop in its three parts\n"
                            "  -d DEPTH    calls in flight, or of one transaction (64)\n"
                            "  -n COUNT    tasks (20000)\n"
                            "  -q COUNT    pages asked for of either kind (0)\n"
                            "  -s WORD     synchronous of the bare loop: FULL or NORMAL (FULL)\n";

struct bench {
    const struct options *options;
    struct child child;
    struct lines lines;
    char (*names)[NAME]; /* owned: the tasks' ids by number */
    double seconds[PHASES];
    uint32_t transactions[PHASES];
    double cpu_us; /* of the server, for each call */
    struct samples by_status, by_words;
};

static void bench_fini_cleanup(struct bench *bench) {
    lines_fini_cleanup(&bench->lines);
    child_fini_cleanup(&bench->child);
    samples_fini_cleanup(&bench->by_status);
    samples_fini_cleanup(&bench->by_words);
    free(bench->names);
}

/* ---- what is written: each task has words of its own ---- */

static void title_of(unsigned i, char text[static 64]) {
    (void)snprintf(text, 64, "Write part %u of the plan", i);
}

static void description_of(unsigned i, char text[static 160]) {
    (void)snprintf(text, 160, "Say what is to be done in step %u, about word%u and thing%u, and why", i, i % 5000,
                   i % 97);
}

static const char summary_text[] = "It is done as it was described";
static const char work_text[] = "First this was looked at, then it was changed, and in the end all of it was tried.";

/* ---- the server ---- */

static char *request_of(const struct bench *bench, enum phase phase, unsigned i) {
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"tools/call\",\"params\":{\"name\":"
                               "\"orchestrator_%s_task\",\"arguments\":{%s}}}\n";
    char title[64], description[160];
    CLEANUP(free) char *args = NULL;

    title_of(i, title);
    description_of(i, description);
    if (phase == PLAN)
        args = xasprintf("\"title\":\"%s\",\"description\":\"%s\"", title, description);
    else if (phase == UPDATE)
        args = xasprintf("\"task_id\":\"%s\",\"status\":\"in_progress\"", bench->names[i]);
    else
        args = xasprintf("\"task_id\":\"%s\",\"summary\":\"%s\",\"detailed_work\":\"%s\",\"next_action\":\"complete\"",
                         bench->names[i], summary_text, work_text);
    return xasprintf(head, i + 1, phases[phase], args);
}

/* The text between `key` and the next quote. */
static struct span value_of(struct span line, const char *key) {
    const char *at = memmem(line.data, line.len, key, strlen(key));

    if (!at)
        return (struct span){"", 0};
    at += strlen(key);
    const char *end = memchr(at, '"', (size_t)(line.data + line.len - at));
    return (struct span){at, end ? (size_t)(end - at) : 0};
}

static int take_answer(struct bench *bench, enum phase phase, struct span line, struct theseus_error *err) {
    static const char *const states[PHASES] = {"pending", "in_progress", "completed"};
    const char *number = memmem(line.data, line.len, "\"id\":", 5);
    unsigned id = number ? (unsigned)strtoul(number + 5, NULL, 10) : 0;
    struct span name = value_of(line, "\"task_id\":\""), status = value_of(line, "\"status\":\"");

    if (id < 1 || id > bench->options->count || name.len == 0 || name.len >= NAME ||
        !span_equals(status, states[phase]))
        return fail(err, ERR_INVALID, "not the answer of %s: %.*s", phases[phase], line.len < 200 ? (int)line.len : 200,
                    line.data);
    if (phase == PLAN)
        memcpy(bench->names[id - 1], name.data, name.len);
    return 0;
}

/* SQLite counts the transactions of a database in the index of its write-ahead log (iChange in its "WAL-Index Format").
 */
static int count_transactions(const struct bench *bench, uint32_t *ret_count, struct theseus_error *err) {
    enum { CHANGES_AT = 8 };

    *ret_count = 0;
    if (!bench->options->database)
        return 0;
    CLEANUP(free) char *path = xasprintf("%s-shm", bench->options->database);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, ret_count, sizeof(*ret_count), CHANGES_AT) != (ssize_t)sizeof(*ret_count))
        return fail_errno(err, "cannot count transactions in '%s'", path);
    return 0;
}

static int run_phase(struct bench *bench, enum phase phase, struct theseus_error *err) {
    unsigned sent = 0, answered = 0;
    uint32_t before;
    struct span line;

    if (count_transactions(bench, &before, err) < 0)
        return -1;
    int64_t start = clock_now_ns();

    while (answered < bench->options->count) {
        for (; sent < bench->options->count && sent - answered < bench->options->depth; sent++) {
            CLEANUP(free) char *request = request_of(bench, phase, sent);
            if (buf_append(&bench->lines.out, span_of(request), err) < 0)
                return -1;
        }
        if (lines_wait(&bench->lines, 0, err) < 0)
            return -1;
        for (; lines_next(&bench->lines, &line); answered++)
            if (take_answer(bench, phase, line, err) < 0)
                return -1;
    }
    bench->seconds[phase] = (double)(clock_now_ns() - start) / 1e9;
    if (count_transactions(bench, &bench->transactions[phase], err) < 0)
        return -1;
    bench->transactions[phase] -= before;
    return 0;
}

static int ask_page(struct bench *bench, const char *filter, struct samples *samples, struct theseus_error *err) {
    CLEANUP(free)
    char *request = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/call\",\"params\":{\"name\":"
                              "\"orchestrator_query_tasks\",\"arguments\":{%s,\"limit\":%d}}}\n",
                              filter, (int)PAGE);
    int64_t start = clock_now_ns();
    struct span line;

    if (lines_ask(&bench->lines, request, &line, err) < 0)
        return -1;
    samples->ns[samples->count++] = clock_now_ns() - start;
    json_auto_t *answer = json_loadb(line.data, line.len, 0, NULL);
    json_t *result = json_object_get(json_object_get(answer, "result"), "structuredContent");
    if (json_array_size(json_object_get(result, "tasks")) != PAGE)
        return fail(err, ERR_INVALID, "%s: not a page of %d: %.*s", filter, (int)PAGE,
                    line.len < 200 ? (int)line.len : 200, line.data);
    return 0;
}

/* Every page lies elsewhere, or is about another word. */
static int ask_pages(struct bench *bench, struct theseus_error *err) {
    const struct options *options = bench->options;

    bench->by_status.ns = xcalloc(options->queries + 1, sizeof(int64_t));
    bench->by_words.ns = xcalloc(options->queries + 1, sizeof(int64_t));
    for (unsigned i = 0; i < options->queries; i++) {
        CLEANUP(free)
        char *status = xasprintf("\"status\":[\"completed\"],\"offset\":%u", i * 37 % (options->count / 10));
        CLEANUP(free) char *search = xasprintf("\"search_text\":\"thing%u step\"", i % 97);
        if (ask_page(bench, status, &bench->by_status, err) < 0 || ask_page(bench, search, &bench->by_words, err) < 0)
            return -1;
    }
    samples_sort(&bench->by_status);
    samples_sort(&bench->by_words);
    return 0;
}

static void print_rates(const struct options *options, const double seconds[static PHASES]) {
    double all = 0;

    for (int i = 0; i < PHASES; i++) {
        printf("\"%s_per_second\":%.0f,", phases[i], options->count / seconds[i]);
        all += seconds[i];
    }
    printf("\"per_second\":%.0f", PHASES * options->count / all);
}

static void print_samples(const char *name, const struct samples *samples) {
    printf(",\"%s_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, samples_percentile_us(samples, 50) / 1000,
           samples_percentile_us(samples, 99) / 1000, samples_percentile_us(samples, 100) / 1000);
}

/* The first call of all makes the tables; those of the bare loop are there before it begins, too. */
static int make_tables(struct bench *bench, struct theseus_error *err) {
    struct span answer;

    return lines_ask(&bench->lines,
                     "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/call\",\"params\":{\"name\":"
                     "\"orchestrator_list_sessions\",\"arguments\":{}}}\n",
                     &answer, err);
}

static int run_server(const struct options *options, struct theseus_error *err) {
    CLEANUP(bench_fini) struct bench bench = {.options = options, .names = xcalloc(options->count, NAME)};

    if (child_start(&bench.child, options->server, false, err) < 0)
        return -1;
    bench.lines.child = &bench.child;
    if (lines_greet(&bench.lines, err) < 0 || lines_await_tool(&bench.lines, "orchestrator_plan_task", err) < 0 ||
        make_tables(&bench, err) < 0)
        return -1;
    int64_t cpu = child_cpu_ns(&bench.child);
    for (enum phase phase = 0; phase < PHASES; phase++)
        if (run_phase(&bench, phase, err) < 0)
            return -1;
    bench.cpu_us = (double)(child_cpu_ns(&bench.child) - cpu) / 1e3 / PHASES / options->count;
    if (ask_pages(&bench, err) < 0)
        return -1;
    printf("{");
    print_rates(options, bench.seconds);
    if (options->database)
        printf(",\"transactions\":[%u,%u,%u]", bench.transactions[PLAN], bench.transactions[UPDATE],
               bench.transactions[COMPLETE]);
    if (options->queries > 0) {
        print_samples("by_status", &bench.by_status);
        print_samples("by_words", &bench.by_words);
    }
    printf(",\"cpu_us\":%.1f,\"rss_kb\":%ld}\n", bench.cpu_us, child_rss_kb(&bench.child));
    return child_stop(&bench.child, err);
}

/* ---- the yardstick ---- */

/*
 * Those of one call, in their order and word for word what the plugin asks for, and what is bound to them
 * (bind_value()); those of a whole transaction stand around them. What the plugin need not ask for each call, because
 * it remembers the session and counts the open tasks, is not asked here.
 */
enum { TASK, CHECK, WRITE, MORE, KEEP, STATEMENTS };

struct statement {
    const char *sql, *values;
};

#define FIND_TASK                                                                                                          \
    {                                                                                                                      \
        "SELECT t.id, t.session, t.parent, t.status, t.completed_at IS NOT NULL, s.session_id, s.updated_at FROM tasks t " \
        "JOIN task_sessions s ON s.id = t.session WHERE t.task_id = ?1",                                                   \
            "n"                                                                                                            \
    }
#define STORE_STATUS                                                                                          \
    "UPDATE tasks SET status = ?2, updated_at = ?3, summary = coalesce(?4, summary), started_at = CASE WHEN " \
    "?2 = 'in_progress' THEN coalesce(started_at, ?3) ELSE started_at END, completed_at = CASE ?2 WHEN "      \
    "'completed' THEN ?3 WHEN 'archived' THEN completed_at END, reason = CASE ?2 WHEN 'cancelled' THEN "      \
    "reason WHEN 'archived' THEN reason END WHERE id = ?1"
#define KEEP_ANSWER \
    { "INSERT INTO task_answers (call, text, value, answered_at) VALUES (?1, ?2, ?3, ?4)", "cxvT" }

static const struct statement sql[PHASES][STATEMENTS] = {
    [PLAN] = {[WRITE] = {"INSERT INTO tasks (task_id, session, parent, title, description, task_type, complexity, "
                         "specialist_type, status, estimated_effort, due_date, context, created_at, updated_at) VALUES "
                         "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending', ?9, ?10, ?11, ?12, ?12)",
                         "n10tdymg000T"},
              [KEEP] = KEEP_ANSWER},
    [UPDATE] = {[TASK] = FIND_TASK,
                [CHECK] = {"SELECT p.task_id, p.status FROM task_dependencies d JOIN tasks p ON p.id = d.prerequisite "
                           "WHERE d.task = ?1 AND p.status <> 'completed' AND NOT (p.status = 'archived' AND "
                           "p.completed_at IS NOT NULL)",
                           "i"},
                [WRITE] = {STORE_STATUS, "ipT0"},
                [KEEP] = KEEP_ANSWER},
    [COMPLETE] = {[TASK] = FIND_TASK,
                  [WRITE] = {STORE_STATUS, "ifTs"},
                  [MORE] = {"INSERT INTO task_artifacts (artifact_id, task, artifact_type, next_action, summary, "
                            "content, hash, bytes, file_paths, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                            "?10)",
                            "aieCsw0b0T"},
                  [KEEP] = KEEP_ANSWER},
};

static const char answer_text[] = "task_00000000000000 is completed; its work is artifact_00000000000000.\n"
                                  "Session: session_00000000000000";
static const char answer_value[] =
    "{\"session_id\":\"session_00000000000000\",\"task_id\":\"task_00000000000000\",\"artifact_id\":"
    "\"artifact_00000000000000\",\"status\":\"completed\",\"next_action\":\"complete\",\"bytes\":80}";

static const struct statement opening = {"PRAGMA data_version", ""};
static const struct statement closing[] = {
    {"SELECT 1 FROM task_unindexed LIMIT 1", ""},
    {"INSERT INTO tasks_search (tasks_search, rowid, title, description, session) SELECT 'delete', task, title, "
     "description, session FROM task_unindexed WHERE title IS NOT NULL",
     ""},
    {"INSERT INTO tasks_search (rowid, title, description, session) SELECT t.id, t.title, t.description, t.session FROM "
     "task_unindexed u JOIN tasks t ON t.id = u.task",
     ""},
    {"DELETE FROM task_unindexed", ""},
};

enum { CLOSING = sizeof(closing) / sizeof(closing[0]) };

/* One call of the bare loop: its texts, and the row that it is about. */
struct bare_call {
    char name[NAME], artifact[NAME], key[64], title[64], description[160];
    sqlite3_int64 row, now;
};

static const char *text_of(const struct bare_call *call, char value) {
    switch (value) {
    case 'n':
        return call->name;
    case 'a':
        return call->artifact;
    case 'c':
        return call->key;
    case 't':
        return call->title;
    case 'd':
        return call->description;
    case 's':
        return summary_text;
    case 'w':
        return work_text;
    case 'x':
        return answer_text;
    case 'v':
        return answer_value;
    case 'y':
        return "standard";
    case 'm':
        return "moderate";
    case 'g':
        return "generic";
    case 'e':
        return "general";
    case 'C':
        return "complete";
    case 'p':
        return "in_progress";
    case 'f':
        return "completed";
    default: /* '0' */
        return NULL;
    }
}

static void bind_value(sqlite3_stmt *statement, int at, const struct bare_call *call, char value) {
    if (value == 'i')
        (void)sqlite3_bind_int64(statement, at, call->row);
    else if (value == 'T')
        (void)sqlite3_bind_int64(statement, at, call->now);
    else if (value == '1')
        (void)sqlite3_bind_int64(statement, at, 1);
    else if (value == 'b')
        (void)sqlite3_bind_int64(statement, at, (sqlite3_int64)sizeof(work_text) - 1);
    else
        (void)sqlite3_bind_text(statement, at, text_of(call, value), -1, SQLITE_STATIC);
}

/* The first column, if there is a row, becomes *ret_number. */
static int step(sqlite3 *db, sqlite3_stmt *statement, sqlite3_int64 *ret_number, struct theseus_error *err) {
    int r = sqlite3_step(statement);

    if (r == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : fail(err, ERR_SYSTEM, "%s", sqlite3_errmsg(db));
}

static int bare_call(sqlite3 *db, sqlite3_stmt *const statements[], enum phase phase, unsigned i,
                     struct theseus_error *err) {
    struct bare_call call = {.now = 1800000000000 + i};
    sqlite3_int64 other;

    (void)snprintf(call.name, sizeof(call.name), "task_%014u", i);
    (void)snprintf(call.artifact, sizeof(call.artifact), "artifact_%014u", i);
    (void)snprintf(call.key, sizeof(call.key), "0123456789abcdef0123456789abcdef-1-%u-0", 1000000 * phase + i);
    title_of(i, call.title);
    description_of(i, call.description);
    for (int s = 0; s < STATEMENTS; s++) {
        if (!statements[s])
            continue;
        for (int at = 0; sql[phase][s].values[at]; at++)
            bind_value(statements[s], at + 1, &call, sql[phase][s].values[at]);
        if (step(db, statements[s], s == TASK ? &call.row : &other, err) < 0)
            return -1;
    }
    return 0;
}

static int execute(sqlite3 *db, const char *text, struct theseus_error *err) {
    return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : fail(err, ERR_SYSTEM, "%s: %s", text, sqlite3_errmsg(db));
}

static int prepare(sqlite3 *db, const struct statement texts[], int count, sqlite3_stmt *statements[],
                   struct theseus_error *err) {
    for (int i = 0; i < count; i++)
        if (texts[i].sql &&
            sqlite3_prepare_v3(db, texts[i].sql, -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL) != SQLITE_OK)
            return fail(err, ERR_SYSTEM, "%s: %s", texts[i].sql, sqlite3_errmsg(db));
    return 0;
}

static int bare_group(sqlite3 *db, sqlite3_stmt *const statements[], sqlite3_stmt *const ending[], enum phase phase,
                      unsigned first, unsigned count, struct theseus_error *err) {
    sqlite3_int64 number, some = 0;

    if (execute(db, "BEGIN IMMEDIATE", err) < 0 || step(db, ending[CLOSING], &number, err) < 0)
        return -1;
    for (unsigned i = first; i < first + count; i++)
        if (bare_call(db, statements, phase, i, err) < 0)
            return -1;
    for (int i = 0; i < CLOSING && (i == 0 || some); i++)
        if (step(db, ending[i], i == 0 ? &some : &number, err) < 0)
            return -1;
    return execute(db, "COMMIT", err);
}

static int bare_phase(const struct options *options, sqlite3 *db, enum phase phase, double *ret_seconds,
                      struct theseus_error *err) {
    sqlite3_stmt *statements[STATEMENTS] = {0}, *ending[CLOSING + 1] = {0};

    if (prepare(db, sql[phase], STATEMENTS, statements, err) < 0 || prepare(db, closing, CLOSING, ending, err) < 0 ||
        prepare(db, &opening, 1, ending + CLOSING, err) < 0)
        return -1;
    const unsigned long few = (options->count + options->depth - 1) / options->depth;
    const unsigned long groups = options->transactions[phase] ? options->transactions[phase] : few;
    int64_t start = clock_now_ns();
    for (unsigned long i = 0; i < groups; i++) {
        unsigned first = (unsigned)(i * options->count / groups), end = (unsigned)((i + 1) * options->count / groups);
        if (bare_group(db, statements, ending, phase, first, end - first, err) < 0)
            return -1;
    }
    *ret_seconds = (double)(clock_now_ns() - start) / 1e9;
    for (int i = 0; i < STATEMENTS; i++)
        (void)sqlite3_finalize(statements[i]);
    for (int i = 0; i <= CLOSING; i++)
        (void)sqlite3_finalize(ending[i]);
    return 0;
}

static int bare_open(const struct options *options, sqlite3 **ret_db, struct theseus_error *err) {
    CLEANUP(free)
    char *pragmas = xasprintf("PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; PRAGMA foreign_keys = ON; "
                              "PRAGMA cache_size = -4096; PRAGMA wal_autocheckpoint = 4000",
                              options->durability);

    if (sqlite3_open(options->bare, ret_db) != SQLITE_OK)
        return fail(err, ERR_SYSTEM, "cannot open '%s'", options->bare);
    if (execute(*ret_db, pragmas, err) < 0)
        return -1;
    for (int i = 0; schema_steps[i]; i++)
        if (execute(*ret_db, schema_steps[i], err) < 0)
            return -1;
    return execute(*ret_db,
                   "INSERT INTO task_sessions (session_id, directory, origin, state, created_at, updated_at) VALUES "
                   "('session_1', '/somewhere/or/other', '', 'open', 1, 1)",
                   err);
}

static int run_bare(const struct options *options, struct theseus_error *err) {
    double seconds[PHASES];

    (void)mallopt(M_TRIM_THRESHOLD,
                  KEPT_BYTES); /* else half its time goes to giving memory back and asking for it again */
    sqlite3 *db = NULL;
    int r = bare_open(options, &db, err);

    for (enum phase phase = 0; phase < PHASES && r == 0; phase++)
        r = bare_phase(options, db, phase, &seconds[phase], err);
    (void)sqlite3_close_v2(db);
    if (r < 0)
        return -1;
    printf("{");
    print_rates(options, seconds);
    printf(",\"cpu_us\":%.1f}\n", (double)clock() * 1e6 / CLOCKS_PER_SEC / PHASES / options->count);
    return 0;
}

/* ---- the program ---- */

static bool parse_transactions(const char *text, struct options *options) {
    unsigned *counts = options->transactions;

    if (sscanf(text, "%u,%u,%u", &counts[PLAN], &counts[UPDATE], &counts[COMPLETE]) != PHASES)
        return false;
    for (int i = 0; i < PHASES; i++)
        if (counts[i] < 1 || counts[i] > options->count) /* which is named before it */
            return false;
    return true;
}

static int parse(int argc, char *argv[], struct options *options) {
    int c;

    *options = (struct options){.depth = 64, .count = 20000, .durability = "FULL"};
    while ((c = getopt(argc, argv, "d:n:q:b:s:c:t:")) != -1)
        switch (c) {
        case 'd':
            options->depth = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            options->count = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'q':
            options->queries = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            options->bare = optarg;
            break;
        case 's':
            options->durability = optarg;
            break;
        case 'c':
            options->database = optarg;
            break;
        case 't':
            if (!parse_transactions(optarg, options))
                return -1;
            break;
        default:
            return -1;
        }
    options->server = argv + optind;
    return (options->bare || optind < argc) && options->depth > 0 && options->count >= PAGE ? 0 : -1;
}

int main(int argc, char *argv[]) {
    struct theseus_error err = {0};
    struct options options;

    if (parse(argc, argv, &options) < 0) {
        (void)fputs(usage, stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(PATIENCE_S);
    if ((options.bare ? run_bare(&options, &err) : run_server(&options, &err)) < 0) {
        (void)fprintf(stderr, "tasks: %s: %s\n", options.bare ? options.bare : options.server[0], err.message);
        return 1;
    }
    return 0;
}
