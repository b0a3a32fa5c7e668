#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "call/call.h"
#include "call/keep.h"

/* One lock for the progress of all calls. Held until a report is on its way: of two threads that report at a time, the
 * client hears in the order of their numbers. */
static pthread_mutex_t progress_lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * Progress grows strictly, and not more often than a client can use. The last step (done == total) passes all the same;
 * not without end, for a handler that counts its total along.
 */
static bool advances_locked(struct call *call, double done, double total, bool always) {
    int64_t now = clock_now_ns();
    bool soon = !always && now - call->last_progress_ns < 1000000000 / LIMIT_PROGRESS_PER_SECOND;

    if (done <= call->last_progress || (soon && (done != total || call->ends >= LIMIT_PROGRESS_ENDS)))
        return false;
    call->ends += done == total;
    call->last_progress = done;
    call->last_progress_ns = now;
    return true;
}

static void notify(struct call *call, const char *method, json_t *params) {
    json_auto_t *owned = params;
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    if (!owned || message_write_notification(method, owned, &line, &err) < 0)
        log_warning("%s could not be written: %s", method, owned ? err.message : "the text is no UTF-8");
    else
        call->ops->notify(call, &line);
}

static void keep_step_locked(struct call *call, double done, double total, const char *message) {
    CLEANUP(free) char *of = total > 0 ? xasprintf(" of %g", total) : xstrdup("");

    free(call->step);
    call->step = xasprintf("%g%s%s%s", done, of, message ? ": " : "", message ? message : "");
}

char *call_last_step(struct call *call) {
    (void)pthread_mutex_lock(&progress_lock);
    char *step = call->step ? xstrdup(call->step) : NULL;
    (void)pthread_mutex_unlock(&progress_lock);
    return step;
}

static void say_progress(struct call *call, double done, double total, const char *message) {
    keep_progress(call, done);
    notify(call, "notifications/progress",
           json_pack("{s:O, s:f, s:o*, s:s*}", "progressToken", call->progress_token, "progress", done, "total",
                     total > 0 ? json_real(total) : NULL, "message",
                     call->revision->progress_message ? message : NULL));
}

static void report(struct call *call, double done, double total, const char *message, bool always) {
    if ((!call->progress_token && !call->has_steps) || call_is_over(call) || !isfinite(done) || done < 0)
        return;
    (void)pthread_mutex_lock(&progress_lock);
    if (advances_locked(call, done, total, always)) {
        if (call->has_steps)
            keep_step_locked(call, done, total, message);
        if (call->progress_token)
            say_progress(call, done, total, message);
    }
    (void)pthread_mutex_unlock(&progress_lock);
}

void call_progress(struct call *call, double done, double total, const char *message) {
    report(call, done, total, message, false);
}

void call_progress_step(struct call *call, double done, double total, const char *message) {
    report(call, done, total, message, true);
}

/* A bucket that fills by one message each 1/LIMIT_LOG_PER_SECOND and holds as many as a second brings. */
static bool may_say(struct call *call) {
    int64_t now = clock_now_ns(), each = 1000000000 / LIMIT_LOG_PER_SECOND;

    (void)pthread_mutex_lock(&progress_lock);
    if (call->said_until_ns < now - 1000000000)
        call->said_until_ns = now - 1000000000;
    bool passes = call->said_until_ns + each <= now;
    if (passes)
        call->said_until_ns += each;
    (void)pthread_mutex_unlock(&progress_lock);
    return passes;
}

void call_log(struct call *call, int level, const char *logger, const char *text) {
    if (call->log_level < 0 || level < call->log_level || call_is_over(call) || !may_say(call))
        return;
    notify(call, "notifications/message",
           json_pack("{s:s, s:s, s:s}", "level", revision_log_level_name(level), "logger", logger, "data", text));
}
