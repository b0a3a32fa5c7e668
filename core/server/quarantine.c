#include "server/quarantine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "config/config.h"
#include "ledger/ledger.h"
#include "plugin/ban.h"
#include "plugin/fate.h"
#include "plugin/shelf.h"
#include "server/crash_words.h"

enum { TIMES_MAX = 100 }; /* crashes of one image whose times are kept; as many as crash.limit can be */

static void set_text(char *to, size_t size, const char *from) {
    (void)snprintf(to, size, "%s", from);
    utf8_mend(to);
}

static void end_text(char *text, size_t size) {
    text[size - 1] = '\0';
    utf8_mend(text);
}

void quarantine_mend(struct verdict *verdict) {
    end_text(verdict->plugin, sizeof(verdict->plugin));
    end_text(verdict->version, sizeof(verdict->version));
    end_text(verdict->hash, sizeof(verdict->hash));
    end_text(verdict->good_version, sizeof(verdict->good_version));
    end_text(verdict->failed, sizeof(verdict->failed));
    if ((unsigned)verdict->next > QUARANTINE_UNLOADED)
        verdict->next = QUARANTINE_STILL_THERE;
}

/* ---- what is known ---- */

/* The image that serves the plugin. */
struct serving {
    char *file, *hash, *version, *good_hash; /* owned; NULL: nothing serves */
    json_t *tools;                           /* owned */
    int64_t since_ns;
    uint64_t calls, generation;
};

static void serving_fini(struct serving *serving) {
    free(serving->file);
    free(serving->hash);
    free(serving->version);
    free(serving->good_hash);
    json_decref(serving->tools);
}

static json_t *names_new(struct span text) {
    json_t *names = json_array();

    while (text.len > 0) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        (void)json_array_append_new(names, json_stringn(text.data, len));
        len += end != NULL;
        text = (struct span){text.data + len, text.len - len};
    }
    return names;
}

static void read_serving(void *arg, const void *recorded) {
    const struct image_record *record = recorded;
    struct serving *serving = arg;

    serving->file = xstrndup(record->file.data, record->file.len);
    serving->hash = xstrndup(record->active_hash.data, record->active_hash.len);
    serving->version = xstrndup(record->version.data, record->version.len);
    serving->good_hash = xstrndup(record->good_hash.data, record->good_hash.len);
    serving->tools = names_new(record->tools);
    serving->since_ns = (int64_t)record->since_ns;
    serving->calls = record->calls;
    serving->generation = record->generation;
}

/* The times at which the image has crashed, the present one last. */
struct crashes {
    uint64_t total;
    int64_t times[TIMES_MAX];
    size_t count;
};

static void read_crashes(void *arg, const void *recorded) {
    const struct crash_record *record = recorded;
    struct crashes *crashes = arg;

    crashes->total = record->total;
    crashes->count = record->times.len / sizeof(int64_t);
    if (crashes->count > TIMES_MAX)
        crashes->count = TIMES_MAX;
    if (crashes->count > 0)
        memcpy(crashes->times, record->times.data, crashes->count * sizeof(int64_t));
}

static void add_crash(struct crashes *crashes, int64_t at_ns) {
    if (crashes->count == TIMES_MAX)
        memmove(crashes->times, crashes->times + 1, --crashes->count * sizeof(int64_t));
    crashes->times[crashes->count++] = at_ns;
    crashes->total++;
}

static int count_within(const struct crashes *crashes, int64_t at_ns, int window) {
    int count = 0;

    for (size_t i = 0; i < crashes->count; i++)
        count += crashes->times[i] > at_ns - window * INT64_C(1000000000);
    return count;
}

/* ---- the decision ---- */

struct deciding {
    struct ledger *ledger;
    const struct config *config;
    const struct crash_note *note;
    const struct plugin_crash *apart; /* NULL: it was the server's own process */
    struct verdict *verdict;
    struct serving serving;
    struct batch batch;
};

static void deciding_fini_cleanup(struct deciding *deciding) {
    serving_fini(&deciding->serving);
    batch_fini(&deciding->batch);
}

static bool is_serving(const struct deciding *deciding) {
    return deciding->serving.hash && strcmp(deciding->serving.hash, deciding->verdict->hash) == 0;
}

/* Was it on its way to serve? A generation that was replaced may crash as well, and is going anyway. */
static bool is_candidate(const struct deciding *deciding) {
    static const char *const slots[] = {"load", "start", "selftest", "check", "activate", "configure"};

    for (size_t i = 0; i < ARRAY_SIZE(slots) && !is_serving(deciding); i++)
        if (strcmp(deciding->note->slot, slots[i]) == 0)
            return true;
    return false;
}

static bool is_new(const struct deciding *deciding) {
    const struct serving *serving = &deciding->serving;
    const int64_t limit_ns = deciding->config->crash.probation * INT64_C(1000000000);
    const uint64_t calls = (uint64_t)deciding->config->crash.probation_calls;

    if (!is_serving(deciding))
        return limit_ns > 0 && calls > 0;
    return strcmp(serving->good_hash, serving->hash) != 0 && deciding->note->at_ns - serving->since_ns < limit_ns &&
           serving->calls < calls;
}

static void count(struct deciding *deciding) {
    struct verdict *verdict = deciding->verdict;
    struct crash_record record = {.hash = span_of(verdict->hash), .plugin = span_of(verdict->plugin)};
    struct crashes crashes = {0};

    (void)ledger_find(deciding->ledger, &crash_kind, &record, read_crashes, &crashes);
    add_crash(&crashes, deciding->note->at_ns);
    record.total = crashes.total;
    record.times = (struct span){(const char *)crashes.times, crashes.count * sizeof(int64_t)};
    batch_put(&deciding->batch, &crash_kind, &record);
    verdict->crashes = count_within(&crashes, deciding->note->at_ns, deciding->config->crash.window);
    verdict->probation = is_new(deciding);
}

static bool is_too_much(const struct deciding *deciding) {
    const int limit = deciding->config->crash.limit;

    return deciding->verdict->probation || (limit > 0 && deciding->verdict->crashes >= limit);
}

static bool may_serve(void *arg, const char *hash) {
    CLEANUP(ban_fini) struct ban ban = {0};
    const struct deciding *deciding = arg;

    return strcmp(hash, deciding->verdict->hash) != 0 && !ban_find(deciding->ledger, hash, &ban);
}

/* What is to serve in its place: what served before it, where that still does; else a good one. Empty: nothing. */
static void find_good(struct deciding *deciding, char **ret_hash, char **ret_version) {
    struct theseus_error err = {0};

    if (deciding->serving.hash && !is_serving(deciding)) {
        *ret_hash = xstrdup(deciding->serving.hash);
        *ret_version = xstrdup(deciding->serving.version);
        return;
    }
    if (shelf_good(deciding->config->server.state_dir, deciding->verdict->plugin, may_serve, deciding, ret_hash,
                   ret_version, &err) == 0)
        return;
    if (err.code != ERR_UNSET)
        log_error("whether there is a good version of plugin '%s' cannot be known: %s", deciding->verdict->plugin,
                  err.message);
    *ret_hash = xstrdup("");
    *ret_version = xstrdup("");
}

static char *clean(const char *text) {
    char *copy = xstrdup(text ? text : "");

    utf8_mend(copy);
    return copy;
}

/* What a signal and a place do not tell. Owned. */
static char *how_new(const struct deciding *deciding) {
    const struct plugin_crash *apart = deciding->apart;

    return apart && (*apart->remark || strncmp(apart->how, "crashed", strlen("crashed")) != 0)
               ? xasprintf("%s%s", apart->how, apart->remark)
               : xstrdup("");
}

static void make_ban(const struct deciding *deciding, struct ban *ban) {
    const struct verdict *verdict = deciding->verdict;
    const struct serving *serving = &deciding->serving;

    ban->hash = xstrdup(verdict->hash);
    ban->plugin = xstrdup(verdict->plugin);
    ban->version = xstrdup(verdict->version);
    ban->file = clean(serving->file);
    ban->signal = crash_words_signal(deciding->note);
    ban->where = crash_words_where(deciding->note);
    ban->failed = xstrdup("");
    ban->how = how_new(deciding);
    ban->tools = is_serving(deciding) ? json_incref(serving->tools) : json_array();
    ban->at_ms = clock_wall_ms() - (clock_now_ns() - deciding->note->at_ns) / 1000000;
    ban->crashes = verdict->crashes;
    ban->window = deciding->config->crash.window;
    ban->probation = verdict->probation;
}

/* The plugin's record names what is to be loaded in this image; where there is none, nothing is. */
static void replace_serving(struct deciding *deciding, const struct ban *ban) {
    const struct serving *serving = &deciding->serving;
    struct image_record record = {.plugin = span_of(ban->plugin)};

    if (!is_serving(deciding))
        return;
    if (!*ban->good_hash) {
        batch_drop(&deciding->batch, &image_kind, &record);
        return;
    }
    CLEANUP(free) char *path = shelf_path(deciding->config->server.state_dir, ban->good_hash);
    record.file = span_of(serving->file);
    record.active_path = record.good_path = span_of(path);
    record.active_hash = record.good_hash = span_of(ban->good_hash);
    record.version = span_of(ban->good_version);
    record.generation = serving->generation;
    record.stored = 1;
    batch_put(&deciding->batch, &image_kind, &record);
}

static void ban(struct deciding *deciding) {
    CLEANUP(ban_fini) struct ban ban = {0};
    struct verdict *verdict = deciding->verdict;

    make_ban(deciding, &ban);
    find_good(deciding, &ban.good_hash, &ban.good_version);
    verdict->next = *ban.good_hash ? QUARANTINE_REVERTED : QUARANTINE_UNLOADED;
    set_text(verdict->good_version, sizeof(verdict->good_version), ban.good_version);
    ban_put(&deciding->batch, &ban);
    replace_serving(deciding, &ban);
}

static void name_culprit(struct deciding *deciding) {
    const struct crash_note *note = deciding->note;
    struct verdict *verdict = deciding->verdict;
    struct serving *serving = &deciding->serving;
    struct image_record record = {0};

    set_text(verdict->plugin, sizeof(verdict->plugin), note->plugin);
    set_text(verdict->version, sizeof(verdict->version), note->version);
    set_text(verdict->hash, sizeof(verdict->hash), note->hash);
    record.plugin = span_of(verdict->plugin);
    (void)ledger_find(deciding->ledger, &image_kind, &record, read_serving, serving);
}

static void decide(struct deciding *deciding) {
    struct verdict *verdict = deciding->verdict;
    struct theseus_error err = {0};

    *verdict = (struct verdict){.next = QUARANTINE_STILL_THERE};
    if (!*deciding->note->plugin || !*deciding->note->hash)
        return;
    name_culprit(deciding);
    count(deciding);
    if (is_too_much(deciding) && (is_serving(deciding) || is_candidate(deciding)))
        ban(deciding);
    if (ledger_commit(deciding->ledger, &deciding->batch, &err) < 0) {
        log_error("the crash of plugin '%s' could not be recorded: %s", verdict->plugin, err.message);
        verdict->next = QUARANTINE_STILL_THERE;
    }
}

void quarantine_decide(struct ledger *ledger, const struct config *config, const struct crash_note *note,
                       struct verdict *ret_verdict) {
    CLEANUP(deciding_fini)
    struct deciding deciding = {.ledger = ledger, .config = config, .note = note, .verdict = ret_verdict};

    decide(&deciding);
}

void quarantine_decide_apart(struct ledger *ledger, const struct config *config, const struct plugin_crash *crash,
                             struct verdict *ret_verdict) {
    CLEANUP(deciding_fini)
    struct deciding deciding = {
        .ledger = ledger, .config = config, .note = crash->note, .apart = crash, .verdict = ret_verdict};

    decide(&deciding);
}
