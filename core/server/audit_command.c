/* `theseus audit`: who asked for what, and what came of it, from the database. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "config/option.h"
#include "server/commands.h"
#include "server/onlooker.h"
#include "store/audit.h"
#include "store/store.h"

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static void print_line(const json_t *line) {
    const json_t *by = json_object_get(line, "requested_by"), *uid = json_object_get(by, "uid");
    const char *name = text_of(by, "name");
    const char *target = text_of(line, "target"), *detail = text_of(line, "detail");

    (void)printf("%s  %s%s%s: %s, by %s over %s", text_of(line, "timestamp"), text_of(line, "action"),
                 target[0] ? " " : "", target, text_of(line, "result"), name[0] ? name : "somebody",
                 text_of(by, "transport"));
    if (json_is_integer(uid))
        (void)printf(", uid %lld", (long long)json_integer_value(uid));
    (void)printf("%s%s\n", detail[0] ? ": " : "", detail);
}

/* The oldest first, as a log is read. */
static void print_list(const json_t *list, bool as_json) {
    for (size_t i = json_array_size(list); i-- > 0;) {
        const json_t *line = json_array_get(list, i);
        if (as_json) {
            (void)json_dumpf(line, stdout, JSON_COMPACT);
            (void)printf("\n");
        } else {
            print_line(line);
        }
    }
}

static const struct option_def since_def = {.key = "since", .type = OPT_DURATION, .min = 1, .max = 3650L * 86400};

/* -1: it is no time. */
static int read_since(const char *text, int64_t *ret_since_ms, struct theseus_error *err) {
    int seconds = 0;

    if (!text)
        return 0;
    if (option_set_in(&since_def, &seconds, text, "/", err) < 0)
        return error_prefix(err, "--since: ");
    *ret_since_ms = clock_wall_ms() - seconds * INT64_C(1000);
    return 0;
}

int command_audit(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(config_free) struct config *config = NULL;
    json_auto_t *list = NULL;
    struct theseus_error err = {0};
    int64_t since_ms = 0;

    (void)program;
    int r = read_since(args->since, &since_ms, &err);
    if (r == 0)
        r = onlooker_load(&config, source, &err);
    if (r == 0) {
        CLEANUP(free) char *database = path_join(config->server.state_dir, "theseus.db");
        CLEANUP(store_free) struct store *store = store_new(database);
        r = audit_list(store, since_ms, 0, &list, &err);
    }
    if (r < 0)
        (void)fprintf(stderr, "theseus: %s\n", err.message);
    else
        print_list(list, args->json);
    return r < 0;
}
