/* Services about plugins and their tools as they are now. */
#include <stdlib.h>

#include "base/utf8.h"
#include "plugin/access.h"
#include "plugin/registry.h"
#include "plugin/run.h"
#include "server/inner.h"
#include "server/services.h"

json_t *service_plugins(struct server *server, struct run *run, const json_t *args, const json_t *facts) {
    loop_enter();
    (void)run, (void)args, (void)facts;
    return plugins_report_new(server->plugins);
}

static json_t *no_such_tool_new(struct server *server, const struct run *run, const char *name) ON_LOOP {
    CLEANUP(free) char *more = missing_words(server, run->request);
    CLEANUP(free) char *text = xasprintf("there is no tool '%s'%s", name, more);

    utf8_mend(text);
    return control_error_new(text);
}

/* The flags of the tool that `args` names; else the answer that says why there are none. */
static json_t *find_flags(struct server *server, const struct run *run, const json_t *args,
                          unsigned *ret_flags) ON_LOOP {
    const char *name = json_string_value(json_object_get(args, "name"));
    struct theseus_error err = {0};

    if (!name)
        return control_error_new("'name' is missing");
    int access = access_check(run, name, &err);
    if (access != 0)
        return access < 0 ? control_error_new(err.message) : no_such_tool_new(server, run, name);
    struct offer *offer = registry_find(server->registry, name);
    if (!offer)
        return no_such_tool_new(server, run, name);
    *ret_flags = offer->tool->flags;
    registry_release(server->registry, offer);
    return NULL;
}

/* May the tool be called by its name? A host's "always allow" for the caller would else allow every tool. */
json_t *service_may_call(struct server *server, struct run *run, const json_t *args, const json_t *facts) {
    enum config_call_by_name allowed = server->config->access.call_by_name;
    unsigned flags = 0;

    loop_enter();
    (void)facts;
    if (allowed == CALL_BY_NAME_NO)
        return control_error_new(
            "calling tools by name is switched off: access.call_by_name is 'no' in the configuration");
    json_t *error = find_flags(server, run, args, &flags);
    if (error)
        return error;
    if (allowed == CALL_BY_NAME_READ_ONLY && !(flags & THESEUS_READ_ONLY))
        return json_pack("{s:s++}", "error", "tool '", json_string_value(json_object_get(args, "name")),
                         "' is not read-only, and access.call_by_name allows only such tools; call it directly, or "
                         "set access.call_by_name = yes");
    return json_pack("{s:b}", "allowed", true);
}

/* What may be done with a call of the tool when it was cut short. */
json_t *service_tool(struct server *server, struct run *run, const json_t *args, const json_t *facts) {
    unsigned flags = 0;

    loop_enter();
    (void)facts;
    json_t *error = find_flags(server, run, args, &flags);
    return error ? error
                 : json_pack("{s:b, s:b, s:b}", "read_only", (flags & THESEUS_READ_ONLY) != 0, "idempotent",
                             (flags & THESEUS_IDEMPOTENT) != 0, "resumable", (flags & THESEUS_RESUMABLE) != 0);
}
