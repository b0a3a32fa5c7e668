#include "plugin/generation.h"

#include <stdlib.h>

#include "base/blame.h"
#include "base/limits.h"
#include "loop/thread.h"
#include "plugin/amends.h"
#include "plugin/hangs.h"
#include "plugin/host.h"
#include "plugin/image.h"
#include "plugin/migration.h"
#include "plugin/probation.h"
#include "plugin/registry.h"
#include "store/store.h"

/* A thread that the plugin made. */
struct plugin_thread {
    struct list link;
    int number;
    struct thread *thread; /* owned; NULL: somebody is joining it */
    theseus_thread_fn *run;
    void *arg;
    struct blame blame;
};

static void on_idle(void *arg) {
    struct generation *generation = arg;

    loop_enter();
    generation->host->idle(generation->host->arg, generation);
}

static void on_proof(void *arg) {
    struct generation *generation = arg;

    loop_enter();
    probation_look(generation->plugins);
}

struct generation *generation_new(const struct plugin_host *host, struct image *image, unsigned number) {
    struct generation *generation = xcalloc(1, sizeof(*generation));

    generation->ctx.host = &host_table;
    generation->host = host;
    generation->number = number;
    generation->schema = -1;
    generation->image = image;
    generation->slots = *image_plugin(image);
    generation->self = image_guest(image); /* NULL, and what `start` returns, where it is mapped */
    generation->name = xstrdup(generation->slots.name);
    generation->version = xstrdup(generation->slots.version);
    image_tell_name(image, generation->name, generation->version);
    generation->component = xasprintf("%s#%u", generation->name, number);
    while (generation->slots.migrations && generation->slots.migrations[generation->steps])
        generation->steps++;
    generation->idle_loop = host->loop;
    generation->past_configs = json_array();
    generation->idle = (struct loop_task){.run = on_idle, .arg = generation};
    generation->proof = (struct loop_task){.run = on_proof, .arg = generation};
    list_init(&generation->link);
    list_init(&generation->offers);
    list_init(&generation->queued);
    list_init(&generation->held);
    list_init(&generation->threads);
    (void)pthread_mutex_init(&generation->threads_lock, NULL);
    (void)pthread_mutex_init(&generation->schema_lock, NULL);
    return generation;
}

struct generation *generation_free(struct generation *generation) ON_LOOP {
    if (!generation)
        return NULL;
    loop_forget(generation->idle_loop, &generation->idle);
    loop_forget(generation->idle_loop, &generation->proof);
    list_remove(&generation->link);
    registry_clear(generation->host->registry, generation);
    generation->image = image_free(generation->image);
    json_decref(atomic_load(&generation->config));
    json_decref(generation->past_configs);
    json_decref(generation->saved);
    (void)pthread_mutex_destroy(&generation->threads_lock);
    (void)pthread_mutex_destroy(&generation->schema_lock);
    free(generation->name);
    free(generation->version);
    free(generation->component);
    free(generation->backup);
    free(generation->recorded_tools);
    free(generation);
    return NULL;
}

void generation_count_call(struct generation *generation) {
    uint_fast64_t calls = atomic_fetch_add_explicit(&generation->calls, 1, memory_order_relaxed) + 1;

    uint_fast64_t mark = atomic_load_explicit(&generation->calls_mark, memory_order_relaxed);

    if (mark == 0 || calls < mark)
        return;
    atomic_store(&generation->calls_mark, 0);
    loop_post_task(generation->idle_loop, &generation->proof);
}

bool generation_keeps_state(const struct generation *generation) {
    return generation->slots.save && !(generation->slots.flags & THESEUS_SHARED_STATE);
}

static struct blame blame_of(const struct generation *generation, const char *slot) {
    return (struct blame){.plugin = generation->name,
                          .version = generation->version,
                          .hash = image_hash(generation->image),
                          .slot = slot};
}

/* The lane is in one of its slots: what goes wrong is the plugin's, and what does not come back is known by name. */
struct inside {
    struct generation *generation;
    struct blame *blame; /* owned */
};

static void inside_slot(struct inside *inside, const char *slot) {
    inside->blame->slot = slot;
    atomic_store(&inside->generation->slot, slot);
}

/* From here to the end of the block, in the slot that is named then. */
static struct inside inside_begin(struct generation *generation) {
    const struct blame blame = blame_of(generation, NULL);

    return (struct inside){generation, blame_begin(&blame)};
}

static void inside_end_cleanup(struct inside *inside) {
    amends_look(inside->blame);
    atomic_store(&inside->generation->slot, NULL);
    inside->blame = blame_end(inside->blame);
}

/* A slot that failed without a word still has to say something. */
static int refused(struct theseus_error *err) {
    if (err->message[0] == '\0')
        (void)fail(err, ERR_INTERNAL, "no reason was given");
    err->code = ERR_INTERNAL; /* the plugin's own number means nothing here */
    return -1;
}

static int slot_failed(const char *slot, struct theseus_error *err) {
    (void)refused(err);
    return error_prefix(err, "%s: ", slot);
}

int generation_start(struct generation *generation, struct theseus_error *err) {
    const struct theseus_plugin *slots = &generation->slots;

    if (migration_run(generation, err) < 0)
        return -1;
    CLEANUP(inside_end) struct inside inside = inside_begin(generation);

    inside_slot(&inside, "start");
    if (slots->start && slots->start(&generation->ctx, &generation->self, err) < 0)
        return slot_failed("start", err);
    generation->started = true;
    json_decref(TAKE_PTR(generation->saved));
    inside_slot(&inside, "selftest");
    if (slots->selftest && slots->selftest(generation->self, err) < 0)
        return slot_failed("selftest", err);
    return 0;
}

json_t *generation_save(struct generation *generation) {
    CLEANUP(inside_end) struct inside inside = inside_begin(generation);

    inside_slot(&inside, "save");
    return generation->slots.save ? generation->slots.save(generation->self) : NULL;
}

int generation_activate(struct generation *generation, struct theseus_error *err) {
    const struct theseus_plugin *slots = &generation->slots;

    CLEANUP(inside_end) struct inside inside = inside_begin(generation);

    inside_slot(&inside, "activate");
    return slots->activate && slots->activate(generation->self, err) < 0 ? slot_failed("activate", err) : 0;
}

int generation_check(struct generation *generation, const json_t *config, struct theseus_error *err) {
    const struct theseus_plugin *slots = &generation->slots;

    CLEANUP(inside_end) struct inside inside = inside_begin(generation);

    inside_slot(&inside, "check");
    return slots->check && slots->check(generation->self, config, err) < 0 ? refused(err) : 0;
}

/* A call may have asked for the settings just before they were replaced: the former ones live as long as the
 * generation. */
int generation_configure(struct generation *generation, json_t *config, struct theseus_error *err) {
    json_auto_t *owned = config;

    CLEANUP(inside_end) struct inside inside = inside_begin(generation);

    inside_slot(&inside, "configure");
    if (generation->slots.configure(generation->self, owned, err) < 0)
        return slot_failed("configure", err);
    json_t *before = atomic_exchange(&generation->config, TAKE_PTR(owned));
    if (json_array_append_new(generation->past_configs, before) < 0)
        return fail(err, ERR_MEMORY, "no memory for the former settings");
    return 0;
}

/* Everybody waits for it, as for a tool that runs here. */
void generation_subscribed(struct generation *generation, const char *uri, bool on) {
    struct hangs *hangs = generation->host->hangs;
    const struct blame blame = blame_of(generation, "subscribed");
    struct blame *inside = blame_begin(&blame);

    if (hangs)
        hangs_enter_inline(hangs, LIMIT_INLINE_MS);
    generation->slots.subscribed(generation->self, uri, on);
    if (hangs)
        hangs_leave_inline(hangs);
    amends_look(inside);
    (void)blame_end(inside);
}

/* ---- threads ---- */

static void thread_main(void *arg) {
    struct plugin_thread *thread = arg;

    blame_enter(&thread->blame);
    thread->run(thread->arg);
    blame_leave(&thread->blame);
}

int generation_thread(struct generation *generation, theseus_thread_fn *run, void *arg, struct theseus_error *err) {
    struct plugin_thread *thread = xcalloc(1, sizeof(*thread));
    const struct blame *maker = blame_current();

    thread->run = run;
    thread->arg = arg;
    thread->blame = blame_of(generation, "thread");
    if (maker) {
        thread->blame.structured = maker->structured;
        thread->blame.conn = maker->conn;
        thread->blame.offset = maker->offset;
        thread->blame.index = maker->index;
    }
    if (thread_start_for_plugin(&thread->thread, generation->name, thread_main, thread, err) < 0) {
        free(thread);
        return -1;
    }
    (void)pthread_mutex_lock(&generation->threads_lock);
    thread->number = ++generation->next_thread;
    list_append(&generation->threads, &thread->link);
    int number = thread->number;
    (void)pthread_mutex_unlock(&generation->threads_lock);
    return number;
}

/* The thread of that number (0: any), taken out of the list. NULL: there is none. */
static struct plugin_thread *take_thread(struct generation *generation, int number) {
    struct plugin_thread *found = NULL;

    (void)pthread_mutex_lock(&generation->threads_lock);
    list_for_each (link, &generation->threads) {
        struct plugin_thread *thread = list_entry(link, struct plugin_thread, link);
        if (!found && (number == 0 || thread->number == number))
            found = thread;
    }
    if (found)
        list_remove(&found->link);
    (void)pthread_mutex_unlock(&generation->threads_lock);
    return found;
}

static void join(struct plugin_thread *thread) {
    thread->thread = thread_join(thread->thread);
    free(thread);
}

void generation_thread_join(struct generation *generation, int number) {
    struct plugin_thread *thread = number > 0 ? take_thread(generation, number) : NULL;

    if (thread)
        join(thread);
}

/* No call of it runs, and its threads have ended: nobody can be using its statements any more. */
void generation_stop(struct generation *generation) {
    struct plugin_thread *thread;

    CLEANUP(inside_end) struct inside inside = inside_begin(generation);

    inside_slot(&inside, "stop");
    if (generation->started && generation->slots.stop)
        generation->slots.stop(generation->self);
    generation->started = false;
    while ((thread = take_thread(generation, 0)))
        join(thread);
    if (atomic_load(&generation->uses_store))
        store_forget(generation->host->store, generation->component);
}
