/*
 * A newer version of a plugin, when the database has older tables of it: what serves goes on with the schema that it
 * knows, and the newer one waits here, checked but not started, for a restart. It is proposed to the next process
 * image, which migrates the schema and takes it in place of what served. If nothing comes of that, the image before
 * lets go of it, and does not try the same file again.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "plugin/inner.h"

/* ---- waiting ---- */

static struct candidate *find(struct plugins *plugins, const char *name) {
    list_for_each (link, &plugins->loader.proposals) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        if (strcmp(candidate->next->name, name) == 0)
            return candidate;
    }
    return NULL;
}

static void wait(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;

    log_info("plugin '%s' %s waits for a restart, which migrates its schema%s", candidate->next->name,
             candidate->next->version, candidate->plugin->active ? "; the one before goes on serving" : "");
    candidate->err = (struct theseus_error){0};
    if (plugins->loader.current == candidate)
        plugins->loader.current = NULL;
    list_append(&plugins->loader.proposals, &candidate->link);
    plugins->host->outdated(plugins->host->arg);
    loader_next(plugins);
    plugins_settled(plugins);
}

/* Two files with one name: an earlier directory goes before a later one, as with those that serve. */
void proposal_add(struct candidate *candidate) {
    struct candidate *other = find(candidate->plugins, candidate->next->name);

    if (other && other->source->order <= candidate->source->order) {
        candidate->err = (struct theseus_error){0};
        (void)fail(&candidate->err, ERR_BUSY, "plugin '%s' is already served from '%s'", candidate->next->name,
                   other->source->path);
        promote_discard(candidate);
        return;
    }
    if (other) {
        (void)fail(&other->err, ERR_BUSY, "plugin '%s' is already served from '%s'", candidate->next->name,
                   candidate->source->path);
        proposal_forget(other);
        loader_refuse(other);
    }
    wait(candidate);
}

static void drop_record(struct plugins *plugins, const char *name) ON_LOOP {
    const struct proposal_record record = {.plugin = span_of(name)};
    struct theseus_error err = {0};

    if (ledger_drop(plugins->host->ledger, &proposal_kind, &record, &err) < 0)
        log_error("a proposal could not be dropped: %s", err.message);
}

void proposal_forget(struct candidate *candidate) {
    list_remove(&candidate->link);
    if (candidate->proposed)
        drop_record(candidate->plugins, candidate->next->name);
    retire(candidate->plugins, TAKE_PTR(candidate->next));
}

/* ---- before the restart ---- */

static void propose(struct candidate *candidate) ON_LOOP {
    const struct image *image = candidate->next->image;
    const struct generation *active = candidate->plugin->active;
    const struct proposal_record record = {.plugin = span_of(candidate->next->name),
                                           .file = span_of(image_file(image)),
                                           .path = span_of(image_path(image)),
                                           .hash = span_of(image_hash(image)),
                                           .replaced = span_of(active ? image_path(active->image) : ""),
                                           .generation = candidate->next->number};
    struct theseus_error err = {0};

    candidate->proposed = ledger_put(candidate->plugins->host->ledger, &proposal_kind, &record, &err) == 0;
    if (!candidate->proposed)
        log_error("plugin '%s' could not be proposed: %s", candidate->next->name, err.message);
}

size_t plugins_propose(struct plugins *plugins) {
    size_t count = 0;

    list_for_each (link, &plugins->loader.proposals) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        propose(candidate);
        count += candidate->proposed;
    }
    return count;
}

size_t plugins_proposals(const struct plugins *plugins) {
    size_t count = 0;

    list_for_each (link, (struct list *)&plugins->loader.proposals)
        count++;
    return count;
}

static void found(void *arg, const void *recorded) {
    (void)recorded;
    *(bool *)arg = true;
}

bool plugins_are_proposed(const struct plugins *plugins) {
    bool are = false;

    ledger_each(plugins->host->ledger, &proposal_kind, found, &are);
    return are;
}

/* ---- nothing comes of it ---- */

static bool holds(const char *file, struct span hash) {
    char text[HASH_TEXT_BYTES];
    CLEANUP(fd_close) int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    return fd >= 0 && hash_fd(fd, text, NULL) == 0 && span_equals(hash, text);
}

static void say_why(struct theseus_error *err, const char *why) {
    *err = (struct theseus_error){0};
    (void)fail(err, ERR_INTERNAL, "its schema was not migrated: %s", why);
}

/* For the file as it is now, if it is that one. */
static void refuse_file(struct plugins *plugins, const struct proposal_record *record, const char *reason) ON_LOOP {
    CLEANUP(free) char *file = xstrndup(record->file.data, record->file.len);

    if (!holds(file, record->hash))
        return;
    struct source *source = scan_source(plugins, file);
    log_warning("plugin file '%s' is refused: %s", file, reason);
    (void)source_look(source);
    source_refuse(source, reason);
}

static void withdraw_waiting(struct plugins *plugins, const char *why) ON_LOOP {
    struct list all;

    list_init(&all);
    list_splice(&all, &plugins->loader.proposals);
    while (!list_empty(&all)) {
        struct candidate *candidate = list_first(&all, struct candidate, link);
        list_remove(&candidate->link);
        if (!candidate->proposed || !why) {
            candidate->proposed = false;
            list_append(&plugins->loader.proposals, &candidate->link);
            continue;
        }
        say_why(&candidate->err, why);
        promote_discard(candidate);
    }
}

struct withdrawing {
    struct plugins *plugins;
    const char *why;
};

/* Of the image before, to which the way led back: the file would else be looked at as a new one. */
static void withdraw_record(void *arg, const void *recorded) ON_LOOP {
    const struct proposal_record *record = recorded;
    const struct withdrawing *withdrawing = arg;
    struct plugins *plugins = withdrawing->plugins;
    CLEANUP(free) char *name = xstrndup(record->plugin.data, record->plugin.len);
    CLEANUP(free) char *path = xstrndup(record->path.data, record->path.len);
    struct theseus_error err = {0};

    drop_record(plugins, name);
    if (find(plugins, name))
        return; /* no exec has come between */
    (void)unlink(path);
    if (!withdrawing->why)
        return;
    say_why(&err, withdrawing->why);
    refuse_file(plugins, record, err.message);
}

void plugins_withdraw(struct plugins *plugins, const char *why) {
    struct withdrawing withdrawing = {plugins, why};

    ledger_each(plugins->host->ledger, &proposal_kind, withdraw_record, &withdrawing);
    withdraw_waiting(plugins, why);
}

static void give_up(void *arg, const void *recorded) ON_LOOP {
    const struct proposal_record *record = recorded;
    const struct withdrawing *withdrawing = arg;
    CLEANUP(free) char *name = xstrndup(record->plugin.data, record->plugin.len);
    CLEANUP(free) char *path = xstrndup(record->path.data, record->path.len);
    CLEANUP(free) char *replaced = xstrndup(record->replaced.data, record->replaced.len);
    CLEANUP(free) char *reason = xasprintf("%s; its schema stays migrated", withdrawing->why);
    const struct image_record served = {.plugin = record->plugin};
    struct theseus_error err = {0};

    refuse_file(withdrawing->plugins, record, reason);
    if (ledger_drop(withdrawing->plugins->host->ledger, &image_kind, &served, &err) < 0)
        log_error("%s", err.message);
    (void)unlink(path);
    if (*replaced)
        (void)unlink(replaced);
    drop_record(withdrawing->plugins, name);
}

void plugins_give_up(struct plugins *plugins, const char *name, const char *why) {
    const struct proposal_record record = {.plugin = span_of(name)};
    struct withdrawing withdrawing = {plugins, why};

    (void)ledger_find(plugins->host->ledger, &proposal_kind, &record, give_up, &withdrawing);
}

/* ---- in the next image ---- */

bool proposal_stands_for(const struct plugins *plugins, struct span plugin) {
    const struct proposal_record record = {.plugin = plugin};
    bool stands = false;

    if (plugins->takes_proposals)
        (void)ledger_find(plugins->host->ledger, &proposal_kind, &record, found, &stands);
    return stands;
}

void plugins_take_proposals(struct plugins *plugins) {
    plugins->takes_proposals = true;
}

/* The copy that served before, and that of one which was refused here, are nobody's any more. */
static void drop_proposal(void *arg, const void *recorded) ON_LOOP {
    const struct proposal_record *record = recorded;
    struct plugins *plugins = arg;
    CLEANUP(free) char *name = xstrndup(record->plugin.data, record->plugin.len);
    CLEANUP(free) char *path = xstrndup(record->path.data, record->path.len);
    CLEANUP(free) char *replaced = xstrndup(record->replaced.data, record->replaced.len);
    const struct plugin *plugin = plugins_find(plugins, name, false);
    const char *serves = plugin && plugin->active ? image_path(plugin->active->image) : "";

    drop_record(plugins, name);
    if (strcmp(serves, path) != 0)
        (void)unlink(path);
    if (*replaced && strcmp(serves, replaced) != 0)
        (void)unlink(replaced);
}

void plugins_drop_proposals(struct plugins *plugins) {
    ledger_each(plugins->host->ledger, &proposal_kind, drop_proposal, plugins);
    plugins->takes_proposals = false;
}
