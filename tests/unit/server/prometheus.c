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

/* Two generations of one version wait for their last calls: no sample may come twice. */
static void counts_generations_that_look_alike(void **state) {
    json_auto_t *description = description_new(11, "h");
    json_t *plugins = json_object_get(description, "plugins");

    (void)state;
    assert_int_equal(json_array_append(plugins, json_array_get(plugins, 1)), 0);
    CLEANUP(free) char *text = prometheus_render(description);
    const char *sample = "\ntheseus_plugin_state{plugin=\"echo\",version=\"1\",state=\"draining\"} 2\n";
    assert_has(text, sample);
    assert_null(strstr(strstr(text, sample) + strlen(sample), "state=\"draining\""));
}

static void counts_what_an_older_version_serves_in_its_place(void **state) {
    json_auto_t *description = description_new(11, "h");
    json_t *first = json_array_get(json_object_get(description, "plugins"), 0);

    (void)state;
    assert_int_equal(json_object_set_new(first, "state", json_string("reverted")), 0);
    CLEANUP(free) char *text = prometheus_render(description);
    assert_has(text, "\ntheseus_tool_calls_total{plugin=\"echo\",result=\"served\"} 7\n");
}

static void puts_durations_into_buckets(void **state) {
    json_auto_t *description = json_pack("{s:{s:{s:f, s:[[f, i], [f, i]], s:i}}}", "durations", "echo", "sum", 1.5,
                                         "up_to", 0.25, 2, 1.0, 3, "count", 4);
    CLEANUP(free) char *text = prometheus_render(description);

    (void)state;
    assert_has(text, "# TYPE theseus_tool_call_seconds histogram\n"
                     "theseus_tool_call_seconds_bucket{plugin=\"echo\",le=\"0.25\"} 2\n"
                     "theseus_tool_call_seconds_bucket{plugin=\"echo\",le=\"1\"} 3\n"
                     "theseus_tool_call_seconds_bucket{plugin=\"echo\",le=\"+Inf\"} 4\n"
                     "theseus_tool_call_seconds_sum{plugin=\"echo\"} 1.5\n"
                     "theseus_tool_call_seconds_count{plugin=\"echo\"} 4\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_server_is),
        cmocka_unit_test(counts_calls_of_what_serves_alone),
        cmocka_unit_test(puts_each_family_once_for_all_servers),
        cmocka_unit_test(counts_generations_that_look_alike),
        cmocka_unit_test(counts_what_an_older_version_serves_in_its_place),
        cmocka_unit_test(puts_durations_into_buckets),
    };

    return cmocka_run_group_tests_name("server/prometheus", tests, NULL, NULL);
}
