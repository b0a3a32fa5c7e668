/*
 * Resources: what plugins have to be read under a URI. Reading one runs its handler as a tool's, with all that is true
 * of calls; what it answers is then told in the words of resources/read.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "method/method.h"
#include "plugin/registry.h"
#include "plugin/resource.h"
#include "plugin/run.h"

static bool has_cursor(struct call *call) {
    bool has = json_object_get(call->message.params, "cursor") != NULL;

    if (has)
        method_refuse_params(call, "'cursor' is none that this server gave out");
    return has;
}

void method_resources_list(struct method_env *env, struct conn *conn, struct call *call) {
    (void)conn;
    if (!has_cursor(call))
        call_answer_list(call,
                         json_pack("{s:o}", "resources", registry_resources_new(env->plugin_host->registry, false)));
}

void method_resources_templates(struct method_env *env, struct conn *conn, struct call *call) {
    (void)conn;
    if (!has_cursor(call))
        call_answer_list(
            call, json_pack("{s:o}", "resourceTemplates", registry_resources_new(env->plugin_host->registry, true)));
}

/* ---- reading ---- */

static const char *uri_of(const struct call *call) {
    const json_t *uri = json_object_get(call->message.params, "uri");
    const char *text = json_string_value(uri);

    return text && strlen(text) == json_string_length(uri) && strlen(text) <= LIMIT_URI ? text : NULL;
}

static int no_resource(const struct call *call, const char *why, struct theseus_error *err) {
    enum errc code = call->revision->modern ? ERR_PARAMS : ERR_NO_RESOURCE;

    return fail(err, code, "%s", why);
}

static json_t *content_new(const json_t *shape, const char *text, bool is_json) {
    const char *mime = json_string_value(json_object_get(shape, "mimeType"));

    return json_pack("{s:O, s:s, s:s}", "uri", json_object_get(shape, "uri"), "mimeType",
                     mime      ? mime
                     : is_json ? "application/json"
                               : "text/plain",
                     "text", text);
}

static json_t *contents_new(const json_t *shape, const json_t *result) {
    bool is_json = json_object_get(result, "structuredContent") != NULL;
    json_t *contents = json_array(), *item;
    size_t i;

    json_array_foreach (json_object_get(result, "content"), i, item) {
        const char *text = json_string_value(json_object_get(item, "text"));
        if (text)
            (void)json_array_append_new(contents, content_new(shape, text, is_json));
    }
    return contents;
}

/* The handler's own error says that there is no such thing; any other is a failure of ours, or of the handler. */
static bool reshape(struct call *call, json_t **result, struct theseus_error *err, json_t **ret_data) {
    json_t *content = json_array_get(json_object_get(*result, "content"), 0);
    const char *text = json_string_value(json_object_get(content, "text"));

    if (json_is_true(json_object_get(*result, "isError"))) {
        *ret_data = json_pack("{s:O}", "uri", json_object_get(call->shape, "uri"));
        if (atomic_load(&call->said_error))
            (void)no_resource(call, text ? text : "there is no such resource", err);
        else
            (void)fail(err, ERR_INTERNAL, "%s", text ? text : "it cannot be read");
        return false;
    }
    json_t *read = json_pack("{s:o}", "contents", contents_new(call->shape, *result));
    json_decref(*result);
    *result = read;
    return true;
}

static json_t *mime_type_new(const struct method_env *env, const char *name) {
    struct offer *offer = registry_find(env->plugin_host->registry, name);
    const char *mime = offer && offer->tool->resource ? offer->tool->resource->mime_type : NULL;
    json_t *text = mime ? json_string(mime) : NULL;

    if (offer)
        registry_release(env->plugin_host->registry, offer);
    return text;
}

static void refuse_unknown(struct call *call, const char *uri) {
    struct theseus_error err = {0};

    (void)no_resource(call, "there is no resource with this URI", &err);
    call_fail(call, &err, json_pack("{s:s}", "uri", uri));
}

void method_resources_read(struct method_env *env, struct conn *conn, struct call *call) {
    const char *uri = uri_of(call);
    json_auto_t *args = NULL;

    if (!uri) {
        method_refuse_params(call, "'uri' is missing, no string, or too long");
        return;
    }
    CLEANUP(free) char *name = registry_find_resource(env->plugin_host->registry, uri, &args);
    if (!name) {
        refuse_unknown(call, uri);
        return;
    }
    method_set_client(env, conn, call);
    call->shape = json_pack("{s:s, s:o*}", "uri", uri, "mimeType", mime_type_new(env, name));
    call->reshape = reshape;
    call->cacheable = true;
    run_start(env->plugin_host, call, name, args);
}

/* ---- subscriptions of a legacy session ---- */

bool method_has_resource(const struct method_env *env, const char *uri) {
    json_auto_t *args = NULL;
    CLEANUP(free) char *name = registry_find_resource(env->plugin_host->registry, uri, &args);

    return name != NULL;
}

static void drop_uri(json_t *uris, const char *uri) {
    for (size_t i = json_array_size(uris); i-- > 0;)
        if (strcmp(json_string_value(json_array_get(uris, i)), uri) == 0)
            (void)json_array_remove(uris, i);
}

void method_resources_subscribe(struct method_env *env, struct conn *conn, struct call *call) {
    struct session *session = conn_session(conn);
    const char *uri = uri_of(call);
    struct theseus_error err = {0};

    if (!uri || !method_has_resource(env, uri)) {
        refuse_unknown(call, uri ? uri : "");
        return;
    }
    if (!session->subscriptions)
        session->subscriptions = json_array();
    drop_uri(session->subscriptions, uri);
    if (json_array_size(session->subscriptions) >= LIMIT_TOPICS) {
        (void)fail(&err, ERR_INTERNAL, "there are %d subscriptions already", LIMIT_TOPICS);
        call_fail(call, &err, NULL);
        return;
    }
    (void)json_array_append_new(session->subscriptions, json_string(uri));
    conn_session_changed(conn);
    call_answer(call, json_object());
}

void method_resources_unsubscribe(struct method_env *env, struct conn *conn, struct call *call) {
    const char *uri = uri_of(call);

    (void)env;
    if (!uri) {
        method_refuse_params(call, "'uri' is missing, no string, or too long");
        return;
    }
    drop_uri(conn_session(conn)->subscriptions, uri);
    conn_session_changed(conn);
    call_answer(call, json_object());
}
