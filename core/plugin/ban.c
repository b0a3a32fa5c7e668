#include "plugin/ban.h"

#include <stdlib.h>

#include "base/clock.h"
#include "rpc/jsontext.h"

void ban_fini(struct ban *ban) {
    free(ban->hash);
    free(ban->plugin);
    free(ban->file);
    free(ban->version);
    free(ban->signal);
    free(ban->where);
    free(ban->how);
    free(ban->good_hash);
    free(ban->good_version);
    free(ban->failed);
    json_decref(ban->tools);
    *ban = (struct ban){0};
}

void ban_fini_cleanup(struct ban *ban) {
    ban_fini(ban);
}

/* ---- as JSON ---- */

json_t *ban_pack_new(const struct ban *ban) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s*, s:s, s:s, s:s, s:O?, s:I, s:i, s:i, s:b}", "hash", ban->hash,
                     "plugin", ban->plugin, "file", ban->file, "version", ban->version, "signal", ban->signal, "where",
                     ban->where, "how", ban->how && *ban->how ? ban->how : NULL, "good_hash", ban->good_hash,
                     "good_version", ban->good_version, "failed", ban->failed, "tools", ban->tools, "at_ms",
                     (json_int_t)ban->at_ms, "crashes", ban->crashes, "window", ban->window, "probation",
                     ban->probation);
}

static char *text_of(const json_t *packed, const char *key) {
    const char *text = json_string_value(json_object_get(packed, key));

    return xstrdup(text ? text : "");
}

int ban_unpack(struct ban *ret_ban, const json_t *packed, struct theseus_error *err) {
    json_t *tools = json_object_get(packed, "tools");
    const struct ban ban = {
        .hash = text_of(packed, "hash"),
        .plugin = text_of(packed, "plugin"),
        .file = text_of(packed, "file"),
        .version = text_of(packed, "version"),
        .signal = text_of(packed, "signal"),
        .where = text_of(packed, "where"),
        .how = text_of(packed, "how"),
        .good_hash = text_of(packed, "good_hash"),
        .good_version = text_of(packed, "good_version"),
        .failed = text_of(packed, "failed"),
        .tools = json_is_array(tools) ? json_incref(tools) : json_array(),
        .at_ms = json_integer_value(json_object_get(packed, "at_ms")),
        .crashes = (int)json_integer_value(json_object_get(packed, "crashes")),
        .window = (int)json_integer_value(json_object_get(packed, "window")),
        .probation = json_is_true(json_object_get(packed, "probation")),
    };

    *ret_ban = ban;
    if (*ban.hash && *ban.plugin)
        return 0;
    ban_fini(ret_ban);
    return fail(err, ERR_PARSE, "a ban names no image, or no plugin");
}

/* ---- in the ledger ---- */

void ban_put(struct batch *batch, const struct ban *ban) {
    CLEANUP(buf_fini) struct buf text = {0};
    json_auto_t *packed = ban_pack_new(ban);

    if (!packed || jsontext_write(packed, &text, NULL) < 0)
        abort(); /* no memory for a few names */
    batch_put(batch, &ban_kind, &(struct ban_record){.hash = span_of(ban->hash), .text = buf_span(&text)});
}

void ban_drop(struct batch *batch, const struct ban *ban) {
    batch_drop(batch, &ban_kind, &(struct ban_record){.hash = span_of(ban->hash)});
}

/* A record that cannot be read is as good as none: the image is tried again. */
static void read_record(const struct ban_record *record, ban_visit_fn *visit, void *arg) {
    CLEANUP(ban_fini) struct ban ban = {0};
    json_auto_t *packed = jsontext_read(record->text, NULL);

    if (packed && ban_unpack(&ban, packed, NULL) == 0)
        visit(arg, &ban);
}

struct visiting {
    ban_visit_fn *visit;
    void *arg;
};

static void visit_record(void *arg, const void *record) {
    const struct visiting *visiting = arg;

    read_record(record, visiting->visit, visiting->arg);
}

void ban_each(struct ledger *ledger, ban_visit_fn *visit, void *arg) {
    struct visiting visiting = {visit, arg};

    ledger_each(ledger, &ban_kind, visit_record, &visiting);
}

/* What is looked for; each of the names may be NULL: any. */
struct search {
    const char *plugin, *tool;
    struct ban *found;
};

static bool has_tool(const struct ban *ban, const char *name) {
    json_t *tool;
    size_t i;

    json_array_foreach (ban->tools, i, tool)
        if (json_is_string(tool) && strcmp(json_string_value(tool), name) == 0)
            return true;
    return false;
}

static struct ban copy(const struct ban *ban) {
    return (struct ban){
        .hash = xstrdup(ban->hash),
        .plugin = xstrdup(ban->plugin),
        .file = xstrdup(ban->file),
        .version = xstrdup(ban->version),
        .signal = xstrdup(ban->signal),
        .where = xstrdup(ban->where),
        .how = xstrdup(ban->how),
        .good_hash = xstrdup(ban->good_hash),
        .good_version = xstrdup(ban->good_version),
        .failed = xstrdup(ban->failed),
        .tools = json_incref(ban->tools),
        .at_ms = ban->at_ms,
        .crashes = ban->crashes,
        .window = ban->window,
        .probation = ban->probation,
    };
}

static void take_if_younger(void *arg, const struct ban *ban) {
    const struct search *search = arg;
    struct ban *found = search->found;

    if (search->plugin && strcmp(search->plugin, ban->plugin) != 0)
        return;
    if (search->tool && !has_tool(ban, search->tool))
        return;
    if (found->hash && found->at_ms > ban->at_ms)
        return;
    ban_fini(found);
    *found = copy(ban);
}

bool ban_find(struct ledger *ledger, const char *hash, struct ban *ret_ban) {
    struct search search = {.found = ret_ban};
    struct visiting visiting = {take_if_younger, &search};
    struct ban_record record = {.hash = span_of(hash)};

    *ret_ban = (struct ban){0};
    (void)ledger_find(ledger, &ban_kind, &record, visit_record, &visiting);
    return ret_ban->hash;
}

bool ban_of_plugin(struct ledger *ledger, const char *plugin, struct ban *ret_ban) {
    struct search search = {.plugin = plugin, .found = ret_ban};

    *ret_ban = (struct ban){0};
    ban_each(ledger, take_if_younger, &search);
    return ret_ban->hash;
}

bool ban_of_tool(struct ledger *ledger, const char *tool, struct ban *ret_ban) {
    struct search search = {.tool = tool, .found = ret_ban};

    *ret_ban = (struct ban){0};
    ban_each(ledger, take_if_younger, &search);
    return ret_ban->hash;
}

/* ---- in words ---- */

static char *how_often(const struct ban *ban) {
    if (ban->probation)
        return xstrdup("while it was new");
    return ban->crashes == 1 ? xstrdup("once") : xasprintf("for the %d. time within %d s", ban->crashes, ban->window);
}

static char *what_now(const struct ban *ban) {
    if (!*ban->good_hash)
        return xstrdup("its tools are not served");
    if (!*ban->failed)
        return xasprintf("version %s serves instead", ban->good_version);
    return xasprintf("its tools are not served, since version %s, which is to serve instead, cannot be loaded (%s)",
                     ban->good_version, ban->failed);
}

/* "plugin 'x' crashed with SIGSEGV in tool 'y'", "version 1 of plugin 'x': its process ended by itself, …" */
static char *what_it_did(const struct ban *ban) {
    CLEANUP(free)
    char *who = xasprintf("%s%s%splugin '%s'", *ban->version ? "version " : "", ban->version,
                          *ban->version ? " of " : "", ban->plugin);
    CLEANUP(free)
    char *how = ban->how && *ban->how ? xasprintf(": its process %s", ban->how)
                                      : xasprintf(" crashed%s%s", *ban->signal ? " with " : "", ban->signal);

    return xasprintf("%s%s%s%s", who, how, *ban->where ? " in " : "", ban->where);
}

char *ban_crash(const struct ban *ban) {
    CLEANUP(free) char *often = how_often(ban);
    CLEANUP(free)
    char *how = ban->how && *ban->how ? xasprintf("its process %s", ban->how)
                                      : xasprintf("crashed%s%s", *ban->signal ? " with " : "", ban->signal);

    return xasprintf("%s%s%s, %s", how, *ban->where ? " in " : "", ban->where, often);
}

char *ban_reason(const struct ban *ban) {
    char at[CLOCK_TEXT_BYTES];
    CLEANUP(free) char *what = what_it_did(ban);
    CLEANUP(free) char *often = how_often(ban);
    CLEANUP(free) char *now = what_now(ban);
    CLEANUP(free) char *place = *ban->file ? xasprintf("at '%s'", ban->file) : xstrdup("in its place");

    return xasprintf("%s at %s, %s; %s. To mend it, put another file %s; to try this one again, restart with reason "
                     "error_recovery",
                     what, clock_rfc3339(ban->at_ms, at), often, now, place);
}
