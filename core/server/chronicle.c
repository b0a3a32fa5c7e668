#include "server/chronicle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "ledger/ledger.h"
#include "loop/thread.h"
#include "rpc/jsontext.h"
#include "store/metrics.h"
#include "store/store.h"

enum { WAITING_MAX = 10000 }; /* entries; a database that takes nothing for so long costs the youngest */

enum what { EVENT, LINE, SWEEP };

/* Something to be written: a copy of our own. */
struct entry {
    struct list link;
    enum what what;
    struct history_event event;
    struct audit_line line;
    int64_t before_ms; /* wall clock: what a sweep removes */
    int audit_lines;   /* … and how many it leaves */
    uint64_t kept;     /* number of its record in the ledger; 0: it has none */
    bool again;        /* it may have been written already */
};

struct chronicle {
    struct store *store;
    struct ledger *ledger; /* NULL: nothing is kept */
    chronicle_finish_fn *finish;
    atomic_uint_fast64_t number; /* of the last one that was kept */
    struct thread *thread;       /* NULL: not needed yet */
    pthread_mutex_t lock;        /* of what follows */
    pthread_cond_t changed;
    struct list waiting; /* entry::link, owned */
    int count;
    bool writing, quit;
    char *trouble; /* owned: why the last entry was lost; NULL: it was not */
    /* of the thread */
    bool relaxed;   /* it does not wait for the disk */
    json_t *alerts; /* owned: metric → its alert, as they were told; NULL: not looked yet */
    bool goes_on;
};

/* ---- entries ---- */

/* The texts of an event and of a line, to be copied and freed. */
#define EACH_EVENT_TEXT(each, event)                                                                   \
    each(event.reason) each(event.mechanism) each(event.phase) each(event.subject) each(event.by.name) \
        each(event.by.version) each(event.by.transport) each(event.boot_before) each(event.boot_after) \
            each(event.version_before) each(event.version_after)
#define EACH_LINE_TEXT(each, line)                                                                        \
    each(line.by.name) each(line.by.version) each(line.by.transport) each(line.session) each(line.action) \
        each(line.target) each(line.result) each(line.detail)
#define COPY_TEXT(text) entry->text = entry->text ? xstrdup(entry->text) : NULL;
#define FREE_TEXT(text) free((void *)(uintptr_t)entry->text);

static struct entry *entry_free(struct entry *entry) {
    EACH_EVENT_TEXT(FREE_TEXT, event)
    EACH_LINE_TEXT(FREE_TEXT, line)
    json_decref(entry->event.errors);
    free(entry);
    return NULL;
}

static struct entry *entry_of_event(const struct history_event *event) {
    struct entry *entry = xcalloc(1, sizeof(*entry));

    entry->what = EVENT;
    entry->event = *event;
    entry->event.errors = json_deep_copy(event->errors); /* counts of references are not shared between threads */
    EACH_EVENT_TEXT(COPY_TEXT, event)
    return entry;
}

static struct entry *entry_of_line(const struct audit_line *line) {
    struct entry *entry = xcalloc(1, sizeof(*entry));

    entry->what = LINE;
    entry->line = *line;
    EACH_LINE_TEXT(COPY_TEXT, line)
    return entry;
}

/* ---- alerts; on the thread ---- */

/* metric → alert; new reference, NULL: it cannot be known now. */
static json_t *read_alerts(const struct chronicle *chronicle) {
    CLEANUP(metrics_fini) struct metrics metrics = {0};
    struct theseus_error err = {0};
    json_t *alerts, *alert;
    size_t i;

    if (metrics_read(chronicle->store, clock_wall_ms(), &metrics, &err) < 0) {
        log_warning("the metrics cannot be read: %s", err.message);
        return NULL;
    }
    alerts = json_object();
    json_array_foreach (metrics.alerts, i, alert)
        (void)json_object_set(alerts, json_string_value(json_object_get(alert, "metric")), alert);
    return alerts;
}

static const char *text_of(const json_t *alert, const char *key) {
    const char *text = json_string_value(json_object_get(alert, key));

    return text ? text : "?";
}

static void tell_new(const json_t *now, const json_t *before) {
    const char *metric;
    json_t *alert;

    json_object_foreach ((json_t *)now, metric, alert)
        if (!json_object_get(before, metric))
            log_warning("alert: %s (%s is %g, the threshold %g)", text_of(alert, "message"), metric,
                        json_number_value(json_object_get(alert, "value")),
                        json_number_value(json_object_get(alert, "threshold")));
}

static void tell_ended(const json_t *before, const json_t *now) {
    const char *metric;
    json_t *alert;

    json_object_foreach ((json_t *)before, metric, alert)
        if (!json_object_get(now, metric))
            log_warning("alert ended: it is not so any more that %s (%s)", text_of(alert, "message"), metric);
}

static void look_for_alerts(struct chronicle *chronicle) {
    json_t *now = read_alerts(chronicle);

    if (!now)
        return;
    tell_new(now, chronicle->alerts);
    tell_ended(chronicle->alerts, now);
    json_decref(chronicle->alerts);
    chronicle->alerts = now;
}

/* ---- writing; on the thread ---- */

static void sweep(struct chronicle *chronicle, const struct entry *entry) {
    struct theseus_error err = {0};
    int events = 0, lines = 0, more = 0;

    if (history_sweep(chronicle->store, entry->before_ms, &events, &err) < 0 ||
        audit_sweep(chronicle->store, entry->before_ms, &lines, &err) < 0 ||
        audit_shorten(chronicle->store, entry->audit_lines, &more, &err) < 0)
        log_warning("old entries of the history cannot be removed: %s", err.message);
    else if (events + lines + more > 0)
        log_info("%d old events of the history and %d old lines of the audit are removed", events, lines + more);
}

static void write_event(struct chronicle *chronicle, const struct entry *entry) {
    const struct event_record record = {.number = entry->kept};
    const struct history_event *event = &entry->event;
    struct theseus_error err = {0};

    if (chronicle->finish && event->errors)
        chronicle->finish(event->errors);
    if ((entry->again ? history_add_once(chronicle->store, event, &err) : history_add(chronicle->store, event, &err)) <
        0)
        log_warning("an event of the history (%s) is lost: %s", event->reason, err.message);
    if (entry->kept > 0 && ledger_drop(chronicle->ledger, &event_kind, &record, &err) < 0)
        log_warning("an event of the history is kept twice: %s", err.message);
}

/* A crash or a restart follows at once on what is written here, and is not to wait until that is on the disk. A sweep
 * makes no database. */
static void relax(struct chronicle *chronicle, const struct entry *entry) {
    struct theseus_error err = {0};

    if (!chronicle->relaxed && entry->what != SWEEP)
        chronicle->relaxed = store_relax(chronicle->store, &err) == 0; /* else whoever writes finds out why not */
}

static void write_entry(struct chronicle *chronicle, const struct entry *entry) {
    struct theseus_error err = {0};

    relax(chronicle, entry);
    if (chronicle->goes_on && !chronicle->alerts)
        chronicle->alerts = read_alerts(chronicle); /* they have been told by the image before */
    if (entry->what == SWEEP)
        sweep(chronicle, entry);
    else if (entry->what == LINE && audit_add(chronicle->store, &entry->line, &err) < 0)
        log_warning("a line of the audit (%s, %s) is lost: %s", entry->line.action, entry->line.result, err.message);
    else if (entry->what == EVENT)
        write_event(chronicle, entry);
    if (entry->what != LINE)
        look_for_alerts(chronicle);
}

/* The next one; NULL: the end. With the lock, before and after. */
static struct entry *next_entry(struct chronicle *chronicle) {
    while (list_empty(&chronicle->waiting) && !chronicle->quit)
        (void)pthread_cond_wait(&chronicle->changed, &chronicle->lock);
    struct entry *entry = list_first(&chronicle->waiting, struct entry, link);
    if (!entry)
        return NULL;
    list_remove(&entry->link);
    chronicle->count--;
    chronicle->writing = true;
    return entry;
}

static void write_all(void *arg) {
    struct chronicle *chronicle = arg;

    (void)pthread_mutex_lock(&chronicle->lock);
    for (struct entry *entry; (entry = next_entry(chronicle));) {
        (void)pthread_mutex_unlock(&chronicle->lock);
        write_entry(chronicle, entry);
        (void)entry_free(entry);
        (void)pthread_mutex_lock(&chronicle->lock);
        chronicle->writing = false;
        (void)pthread_cond_broadcast(&chronicle->changed);
    }
    (void)pthread_mutex_unlock(&chronicle->lock);
}

/* ---- giving ---- */

static bool take_locked(struct chronicle *chronicle, struct entry *entry, struct theseus_error *err) {
    if (chronicle->count >= WAITING_MAX) {
        (void)fail(err, ERR_LIMIT, "%d entries wait for the database", WAITING_MAX);
        return false;
    }
    if (!chronicle->thread && thread_start(&chronicle->thread, "chronicle", write_all, chronicle, err) < 0)
        return false;
    list_append(&chronicle->waiting, &entry->link);
    chronicle->count++;
    (void)pthread_cond_broadcast(&chronicle->changed);
    return true;
}

static void give(struct chronicle *chronicle, struct entry *entry) {
    struct theseus_error err = {0};

    (void)pthread_mutex_lock(&chronicle->lock);
    bool taken = take_locked(chronicle, entry, &err);
    bool say = !taken && !chronicle->trouble;
    free(chronicle->trouble);
    chronicle->trouble = taken ? NULL : xasprintf("the history loses entries: %s", err.message);
    (void)pthread_mutex_unlock(&chronicle->lock);
    if (say)
        log_warning("the history loses entries: %s", err.message);
    if (!taken)
        (void)entry_free(entry);
}

char *chronicle_trouble_new(struct chronicle *chronicle) {
    (void)pthread_mutex_lock(&chronicle->lock);
    char *trouble = chronicle->trouble ? xstrdup(chronicle->trouble) : NULL;
    (void)pthread_mutex_unlock(&chronicle->lock);
    return trouble;
}

/* Until it is written. Without room for it in the ledger it is only lost if this image crashes before. */
static void keep(struct chronicle *chronicle, struct entry *entry) {
    json_auto_t *packed = history_event_keep_new(&entry->event);
    CLEANUP(buf_fini) struct buf text = {0};

    if (!chronicle->ledger || !packed || jsontext_write(packed, &text, NULL) < 0)
        return;
    const struct event_record record = {.number = atomic_fetch_add(&chronicle->number, 1) + 1, .text = buf_span(&text)};
    if (ledger_put(chronicle->ledger, &event_kind, &record, NULL) == 0)
        entry->kept = record.number;
}

static void add(struct chronicle *chronicle, const struct history_event *event, bool again) {
    struct entry *entry = entry_of_event(event);

    entry->again = again;
    keep(chronicle, entry);
    give(chronicle, entry);
}

void chronicle_add(struct chronicle *chronicle, const struct history_event *event) {
    add(chronicle, event, false);
}

void chronicle_add_once(struct chronicle *chronicle, const struct history_event *event) {
    add(chronicle, event, true);
}

static void add_kept(void *arg, const void *recorded) {
    const struct event_record *record = recorded;
    json_auto_t *packed = jsontext_read(record->text, NULL);
    struct history_event event;

    if (!packed) /* it is damaged, and the ledger has said so */
        return;
    history_event_unpack(&event, packed);
    struct entry *entry = entry_of_event(&event);
    entry->kept = record->number;
    entry->again = true;
    give(arg, entry);
}

void chronicle_go_on(struct chronicle *chronicle) {
    if (chronicle->ledger)
        ledger_each(chronicle->ledger, &event_kind, add_kept, chronicle);
}

void chronicle_audit(struct chronicle *chronicle, const struct audit_line *line) {
    give(chronicle, entry_of_line(line));
}

void chronicle_asked(struct chronicle *chronicle, const struct asker *by, const char *session, const char *action,
                     const char *target, const char *refusal) {
    const struct audit_line line = {.at_ms = clock_wall_ms(),
                                    .by = *by,
                                    .session = session,
                                    .action = action,
                                    .target = target,
                                    .result = refusal ? "refused" : "accepted",
                                    .detail = refusal};

    chronicle_audit(chronicle, &line);
}

void chronicle_sweep(struct chronicle *chronicle, int64_t before_ms, int audit_lines) {
    struct entry *entry = xcalloc(1, sizeof(*entry));

    entry->what = SWEEP;
    entry->before_ms = before_ms;
    entry->audit_lines = audit_lines;
    give(chronicle, entry);
}

bool chronicle_flush(struct chronicle *chronicle, int timeout_ms) {
    const struct timespec end = clock_in_ms(timeout_ms);
    int r = 0;

    (void)pthread_mutex_lock(&chronicle->lock);
    while ((chronicle->writing || !list_empty(&chronicle->waiting)) && r == 0)
        r = pthread_cond_clockwait(&chronicle->changed, &chronicle->lock, CLOCK_MONOTONIC, &end);
    bool done = !chronicle->writing && list_empty(&chronicle->waiting);
    (void)pthread_mutex_unlock(&chronicle->lock);
    return done;
}

/* ---- life ---- */

static void note_number(void *arg, const void *record) {
    atomic_store((atomic_uint_fast64_t *)arg, ((const struct event_record *)record)->number);
}

struct chronicle *chronicle_new(struct store *store, struct ledger *ledger, bool goes_on, chronicle_finish_fn *finish) {
    struct chronicle *chronicle = xcalloc(1, sizeof(*chronicle));

    chronicle->store = store;
    chronicle->ledger = ledger;
    chronicle->finish = finish;
    if (ledger)
        ledger_each(ledger, &event_kind, note_number, &chronicle->number);
    chronicle->goes_on = goes_on;
    list_init(&chronicle->waiting);
    (void)pthread_mutex_init(&chronicle->lock, NULL);
    (void)pthread_cond_init(&chronicle->changed, NULL);
    return chronicle;
}

struct chronicle *chronicle_free(struct chronicle *chronicle) {
    if (!chronicle)
        return NULL;
    (void)pthread_mutex_lock(&chronicle->lock);
    chronicle->quit = true;
    (void)pthread_cond_broadcast(&chronicle->changed);
    (void)pthread_mutex_unlock(&chronicle->lock);
    if (chronicle->thread)
        chronicle->thread = thread_join(chronicle->thread);
    json_decref(chronicle->alerts);
    (void)pthread_cond_destroy(&chronicle->changed);
    (void)pthread_mutex_destroy(&chronicle->lock);
    free(chronicle->trouble);
    free(chronicle);
    return NULL;
}
