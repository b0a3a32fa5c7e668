/*
 * What the server does by itself about what only another image can mend.
 *
 * Threads that do not come back from a plugin's code: their calls are answered, and other threads take their place; but
 * they cannot be ended. When more than half of the workers are stuck, the server executes the image that runs once
 * more: the others' calls go on as at any restart that does not wait, and the stuck threads are gone. The same helps
 * where memory is used up and nobody gives it back (memory.c).
 *
 * It does so a second time only after a call has been served: where nothing works any more, another image would not
 * help.
 */
#include <signal.h>

#include "base/log.h"
#include "loop/lack.h"
#include "plugin/hangs.h"
#include "server/chronicle.h"
#include "server/crash.h"
#include "server/inner.h"
#include "server/restart.h"

enum { AGAIN_MS = 60000 }; /* after an attempt that came to nothing */

void rescue_init(struct server *server) {
    server->rescue.follows_one = !server->is_back && server->restart.facts.cause;
}

static void ask(struct server *server, const char *trouble) ON_LOOP {
    struct asker by = {.transport = "server", .uid = -1};
    struct restart_request request = {.reason = "error_recovery",
                                      .preserve_state = true,
                                      .own = true,
                                      .cause = trouble,
                                      .timeout_s = server->config->restart.total_restart,
                                      .by = &by};
    struct theseus_error err = {0};

    server->rescue.not_before = loop_now_ms(server->loop) + AGAIN_MS;
    log_error("%s; the server restarts to be rid of that", trouble);
    if (restart_ask(server, &request, &err) < 0)
        log_error("no restart: %s", err.message);
}

bool rescue_from(struct server *server, const char *trouble) {
    struct rescue *rescue = &server->rescue;

    if (!server->argv || server->leaving || restart_is_under_way(server) ||
        loop_now_ms(server->loop) < rescue->not_before)
        return restart_is_under_way(server);
    if (!rescue->follows_one || hangs_have_served(server->plugin_host.hangs))
        ask(server, trouble);
    else if (!rescue->said)
        log_error("%s; the server was restarted for its own sake before, and no call was served since: it is not tried "
                  "again",
                  trouble);
    rescue->said = true;
    return restart_is_under_way(server);
}

void rescue_on_stuck(void *arg) {
    struct server *server = arg;
    const struct hangs *hangs = server->plugin_host.hangs;
    int stuck, workers;

    loop_enter();
    stuck = hangs_workers(hangs);
    workers = server->config->server.workers;
    if (stuck * 2 <= workers)
        return;
    CLEANUP(free) char *tools = hangs_workers_text(hangs);
    CLEANUP(free) char *trouble = xasprintf("%d of %d workers are stuck: %s", stuck, workers, tools);
    (void)rescue_from(server, trouble);
}

/* The loop's thread crashes, as far as the handler knows, in the code that it does not come back from: the call is
 * answered by the next image, and the plugin is blamed. Where nobody handles that, waiting is the lesser evil. */
void rescue_on_stalled(void *arg) {
    const struct server *server = arg;
    struct sigaction now;

    if (!crash_is_handled() || sigaction(SIGABRT, NULL, &now) < 0 || now.sa_handler == SIG_DFL)
        return;
    (void)pthread_sigqueue(server->plugin_host.loop_thread, SIGABRT, (union sigval){0});
}

static void add_issue(json_t *issues, const json_t *hang) {
    const char *tool = json_string_value(json_object_get(hang, "tool"));
    const char *slot = json_string_value(json_object_get(hang, "slot"));
    CLEANUP(free)
    char *text = xasprintf("a thread is stuck in plugin '%s', %s '%s', for %.0f s now",
                           json_string_value(json_object_get(hang, "plugin")), tool ? "tool" : "slot",
                           tool ? tool : slot, json_number_value(json_object_get(hang, "stuck_s")));

    (void)json_array_append_new(issues, json_string(text));
}

static void add_lack(void *arg, const char *text) {
    (void)json_array_append_new(arg, json_string(text));
}

/* What waits for a thread that cannot be started, or has not waited and is lost. */
static void add_lacks(const struct server *server, json_t *issues) {
    CLEANUP(free) char *trouble = chronicle_trouble_new(server->upkeep.chronicle);

    lacks_each(server->loop, add_lack, issues);
    if (trouble)
        (void)json_array_append_new(issues, json_string(trouble));
}

json_t *rescue_report_new(const struct server *server, json_t *issues) {
    json_t *stuck = hangs_report_new(server->plugin_host.hangs), *hang;
    size_t i;

    json_array_foreach (stuck, i, hang)
        add_issue(issues, hang);
    add_lacks(server, issues);
    return json_pack("{s:i, s:i, s:o}", "workers", server->config->server.workers, "busy",
                     workers_busy(server->workers), "stuck", stuck);
}
