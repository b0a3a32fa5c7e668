#include "plugin/guest_line.h"

#include <stdlib.h>
#include <string.h>

#include "loop/poll.h"
#include "loop/timer.h"
#include "plugin/generation.h"
#include "plugin/guest_inner.h"
#include "plugin/run.h"

enum { LONG_MESSAGE = 64 << 10 }; /* fits into an empty socket */

/* A call that waits for the line, or goes to a worker. */
struct waiting {
    struct list link;
    struct work work;
    struct guest *guest;
    struct run *run; /* a reference */
    json_t *args;    /* owned */
};

struct guest_line {
    struct guest_asker asker; /* process: a reference; NULL: there is none */
    struct channel_user user; /* of `asker` */
    const struct plugin_host *host;
    struct channel *channel; /* owned */
    struct poll *poll;       /* owned */
    struct timer *limit;     /* owned */
    struct list waiting;     /* struct waiting::link, owned */
    struct run *run;         /* a reference: the one whose handler is at work; NULL: none is */
    json_int_t id;           /* of that */

    /* A question that may wait is a worker's; the channel is its own meanwhile. */
    json_t *question; /* owned; NULL: there is none */
    struct work work;
    struct loop_task answered;
    int outcome; /* of the answer's sending */
};

static void next(struct guest_line *line) ON_LOOP;
static void on_readable(void *arg, int events);

/* ---- by way of a worker ---- */

static struct waiting *waiting_free(struct waiting *waiting) {
    (void)run_unref(waiting->run);
    json_decref(waiting->args);
    free(waiting);
    return NULL;
}

static void detour_run(void *job) {
    struct waiting *waiting = container_of((struct work *)job, struct waiting, work);

    if (!call_is_over(waiting->run->request))
        guest_call_run_later(waiting->guest, waiting->run, waiting->args);
    else
        (void)run_reply(waiting->run, run_text_result_new("the call is over", true)); /* nobody hears of it */
    (void)waiting_free(waiting);
}

static void detour(struct guest_line *line, struct waiting *waiting) ON_LOOP {
    waiting->work = (struct work){.run = detour_run};
    workers_submit(line->host->workers, &waiting->work);
}

/* ---- the channel ---- */

static void drop(struct guest_line *line) ON_LOOP {
    line->poll = poll_free(line->poll);
    line->channel = channel_free(line->channel);
    line->asker.process = process_unref(line->asker.process);
}

/* To the process that serves, without waiting. False: there is none, or it cannot be reached. */
static bool connect_line(struct guest_line *line) ON_LOOP {
    struct process *process = guest_ready_process(line->asker.guest);

    if (process && process == line->asker.process) {
        (void)process_unref(process);
        return true;
    }
    drop(line);
    line->asker.process = process;
    if (!process || process_make_channel_now(process, &line->channel) < 0)
        return false;
    if (poll_new(&line->poll, line->host->loop, channel_fd(line->channel), on_readable, line, NULL) < 0)
        return false;
    poll_want(line->poll, POLL_READ);
    return true;
}

/* ---- the call at hand ---- */

static void finish(struct guest_line *line) ON_LOOP {
    timer_stop(line->limit);
    line->id = 0;
    (void)run_unref(TAKE_PTR(line->run));
}

/* The process is done for; whoever waits for it hears of it from the keeper. */
static void lose(struct guest_line *line, const char *why) ON_LOOP {
    if (line->asker.process)
        process_kill(line->asker.process, why);
    drop(line);
    if (line->run)
        finish(line);
    next(line);
}

static void on_limit(void *arg) {
    const struct guest_line *line = arg;

    process_kill(line->asker.process, guest_hang);
}

static void limit_time(struct guest_line *line) ON_LOOP {
    const struct tool *tool = line->run->offer->tool;
    const struct config *config = *line->host->config;
    int64_t seconds = config_plugin_call_timeout(config, line->asker.guest->slots.name);

    if (seconds == 0)
        seconds = tool->timeout ? (int64_t)tool->timeout : config->limits.call_timeout;

    timer_start(line->limit, seconds * 1000 + GUEST_HANG_GRACE_MS, 0);
}

/* False: it must go another way. */
static bool send_call(struct guest_line *line, const struct waiting *waiting) ON_LOOP {
    json_int_t tool;

    if (!connect_line(line) || !guest_call_find_tool(line->asker.guest, waiting->run, line->asker.process, &tool))
        return false;
    line->id = guest_call_begin_later(line->asker.guest, waiting->run, line->asker.process);
    json_t *question = guest_call_question_new(line->id, tool, waiting->run->name, waiting->args);
    if (channel_send_now(line->channel, question, LONG_MESSAGE) < 0) {
        guest_call_forget(line->asker.guest, line->id); /* nobody has heard of it */
        return false;
    }
    if (process_has_ended(line->asker.process)) /* and who tells the calls of that may have looked already */
        guest_calls_crashed(line->asker.guest, line->asker.process);
    return true;
}

static void begin(struct guest_line *line, struct waiting *waiting) ON_LOOP {
    if (!send_call(line, waiting)) {
        line->id = 0;
        detour(line, waiting);
        return;
    }
    line->run = run_ref(waiting->run);
    limit_time(line);
    (void)waiting_free(waiting);
}

static void next(struct guest_line *line) {
    while (!line->run && !line->question && !list_empty(&line->waiting)) {
        struct waiting *waiting = list_entry(line->waiting.next, struct waiting, link);
        list_remove(&waiting->link);
        begin(line, waiting);
    }
}

/* ---- what comes back ---- */

static void answer_run(void *job) {
    struct guest_line *line = container_of((struct work *)job, struct guest_line, work);

    line->outcome = channel_serve_one(line->channel, &line->user, line->question, NULL);
    loop_post_task(line->host->loop, &line->answered);
}

/* Those for which the server may have to wait: for others, or for the process itself. */
static bool may_wait(const json_t *message) {
    static const char *const verbs[] = {"call_tool", "control", "state_update", "state_get", "resume_state"};
    const char *verb = channel_text(message, "ask");

    for (size_t i = 0; verb && i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i], verb) == 0)
            return true;
    return false;
}

static void hand_over(struct guest_line *line, json_t *message) ON_LOOP {
    poll_want(line->poll, 0);
    line->question = message;
    line->work = (struct work){.run = answer_run};
    workers_submit(line->host->workers, &line->work);
}

/* Steals `message`. False: nothing more is to be read for now. */
static bool take(struct guest_line *line, json_t *message) ON_LOOP {
    json_auto_t *owned = message;

    if (channel_is_answer(owned)) {
        if (!line->run) {
            lose(line, guest_nonsense);
            return false;
        }
        guest_call_returned(line->asker.guest, line->id, owned);
        finish(line);
        return true;
    }
    if (may_wait(owned)) {
        hand_over(line, TAKE_PTR(owned));
        return false;
    }
    bool served = channel_serve_now(line->channel, &line->user, owned) == 0;
    if (!served)
        lose(line, guest_nonsense);
    return served;
}

static void read_on(struct guest_line *line) ON_LOOP {
    struct theseus_error err = {0};
    json_t *message;
    int r;

    while ((r = channel_receive_now(line->channel, &message, &err)) == 0)
        if (!take(line, message))
            return;
    if (r != CHANNEL_NOTHING)
        lose(line, r == CHANNEL_ENDED ? guest_closed : guest_nonsense);
    else
        next(line);
}

static void on_readable(void *arg, int events) {
    loop_enter();
    (void)events;
    read_on(arg);
}

static void on_answered(void *arg) {
    struct guest_line *line = arg;

    loop_enter();
    json_decref(TAKE_PTR(line->question));
    if (line->outcome != 0) {
        lose(line, guest_closed);
        return;
    }
    poll_want(line->poll, POLL_READ);
    read_on(line);
}

/* ---- life ---- */

static json_t *serve(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    struct guest_line *line = arg;

    return guest_serve(&line->asker, channel, &line->user, verb, message);
}

/* Whoever serves on a worker waits for a process that may be gone. */
static bool gives_up(void *arg) {
    const struct guest_line *line = arg;

    return process_has_ended(line->asker.process);
}

static struct guest_line *guest_line_new(struct guest *guest, const struct plugin_host *host) ON_LOOP {
    struct guest_line *line = xcalloc(1, sizeof(*line));

    line->asker.guest = guest;
    line->user = (struct channel_user){.serve = serve, .gives_up = gives_up, .arg = line};
    line->host = host;
    line->limit = timer_new(host->loop, on_limit, line);
    line->answered = (struct loop_task){.run = on_answered, .arg = line};
    list_init(&line->waiting);
    return line;
}

struct guest_line *guest_line_free(struct guest_line *line) {
    if (!line)
        return NULL;
    drop(line);
    line->limit = timer_free(line->limit);
    free(line);
    return NULL;
}

int guest_line_call(struct guest *guest, struct run *run, const json_t *args) {
    struct waiting *waiting = xcalloc(1, sizeof(*waiting));

    if (!guest->line)
        guest->line = guest_line_new(guest, run->host);
    *waiting = (struct waiting){.guest = guest, .run = run_ref(run), .args = json_incref((json_t *)(uintptr_t)args)};
    list_append(&guest->line->waiting, &waiting->link);
    next(guest->line);
    return THESEUS_LATER;
}
