#include "test.h"

#include "server/prometheus.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static json_t *description_new(int pid, const char *host) {
    return json_pack("{s:i, s:s, s:s, s:{s:s}, s:{s:b, s:[], s:f}, s:[{}], s:{s:i, s:i}, s:i, s:[{s:s, s:s, s:s, "
                     "s:{s:i, s:i, s:f, s:f}}, {s:s, s:s, s:s, s:{}}]}",
                     "pid", pid, "version", "1.0", "boot_id", "b", "host", "name", host, "health", "healthy", 1,
                     "issues", "uptime_s", 2.5, "clients", "requests", "in_flight", 3, "held", 4, "restarts", 5,
                     "plugins", "name", "echo", "version", "2", "state", "active", "calls", "served", 7, "failed", 1,
                     "mean_ms", 1.5, "p99_ms", 250.0, "name", "echo", "version", "1", "state", "draining", "calls");
}

static void assert_has(const char *text, const char *line) {
    if (!strstr(text, line))
        print_error("missing: %s in\n%s", line, text);
    assert_non_null(strstr(text, line));
}

static void says_what_a_server_is(void **state) {
    json_auto_t *description = description_new(11, "a \"host\"\\\n");
    CLEANUP(free) char *text = prometheus_render(description);

    (void)state;
    assert_non_null(description);
    assert_has(
        text,
        "# TYPE theseus_info gauge\ntheseus_info{version=\"1.0\",boot_id=\"b\",host=\"a \\\"host\\\"\\\\\\n\"} 1\n");
    assert_has(text, "\ntheseus_healthy 1\n");
    assert_has(text, "\ntheseus_uptime_seconds 2.5\n");
    assert_has(text, "\ntheseus_requests_in_flight 3\n");
    assert_has(text, "\n# TYPE theseus_restarts_total counter\ntheseus_restarts_total 5\n");
    assert_has(text, "\ntheseus_plugin_state{plugin=\"echo\",version=\"1\",state=\"draining\"} 1\n");
    assert_has(text, "\ntheseus_tool_calls_total{plugin=\"echo\",result=\"served\"} 7\n");
    assert_has(text, "\ntheseus_tool_call_p99_seconds{plugin=\"echo\"} 0.25\n");
}

static void counts_calls_of_what_serves_alone(void **state) {
    json_auto_t *description = description_new(11, "h");
    CLEANUP(free) char *text = prometheus_render(description);
    const char *first = strstr(text, "theseus_tool_calls_total{plugin=\"echo\",result=\"served\"}");

    (void)state;
    assert_non_null(first);
    assert_null(strstr(first + 1, "theseus_tool_calls_total{plugin=\"echo\",result=\"served\"}"));
}

static void puts_each_family_once_for_all_servers(void **state) {
    json_auto_t *both = json_pack("[o, o]", description_new(11, "h"), description_new(12, "h"));
    json_auto_t *history = json_pack("{s:i, s:i, s:{s:{s:f}, s:{s:n}}, s:[]}", "restarts_complete", 3, "crashes", 0,
                                     "metrics", "blackout", "value", 4.0, "success_rate", "value", "alerts");
    CLEANUP(free) char *text = prometheus_render_all(both, history);

    (void)state;
    assert_has(text, "# TYPE theseus_clients gauge\ntheseus_clients{pid=\"11\"} 1\ntheseus_clients{pid=\"12\"} 1\n");
    assert_has(text, "\ntheseus_history_restarts{result=\"complete\"} 3\n");
    assert_has(text, "\ntheseus_restart_blackout_p99_seconds 0.004\n");
    assert_null(strstr(text, "\ntheseus_restart_success_ratio ")); /* not known */
    assert_has(text, "\ntheseus_alerts 0\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_server_is),
        cmocka_unit_test(counts_calls_of_what_serves_alone),
        cmocka_unit_test(puts_each_family_once_for_all_servers),
    };

    return cmocka_run_group_tests_name("server/prometheus", tests, NULL, NULL);
}
