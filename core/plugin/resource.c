#include "plugin/resource.h"

#include <stdlib.h>
#include <string.h>

#include <theseus/plugin.h>

#include "base/limits.h"
#include "plugin/contract.h"
#include "plugin/tool.h"

static const char any_arguments[] = "{\"type\":\"object\"}";

struct resource *resource_free(struct resource *resource) {
    if (!resource)
        return NULL;
    json_decref(resource->entry);
    free(resource->mime_type);
    free(resource);
    return NULL;
}

/* ---- what was declared ---- */

static int check_uri(const char *uri, struct theseus_error *err) {
    const char *scheme_end = uri ? strstr(uri, "://") : NULL;

    if (!uri)
        return fail(err, ERR_INVALID, "a resource has no URI; set .uri");
    if (strnlen(uri, LIMIT_URI + 1) > LIMIT_URI)
        return fail(err, ERR_LIMIT, "resource '%.60s…': its URI is longer than %d bytes", uri, LIMIT_URI);
    if (!scheme_end || scheme_end == uri || uri[strcspn(uri, " \t\r\n\"<>\\^`|")])
        return fail(err, ERR_INVALID, "resource '%s': its URI is none (scheme://…, no white space)", uri);
    return 0;
}

/* Every name in braces is one, and something stands between it and the next. */
static int check_template(const char *uri, struct theseus_error *err) {
    for (const char *at = uri; (at = strpbrk(at, "{}")); at++) {
        const char *end = strpbrk(at + 1, "{}");
        CLEANUP(free) char *name = end ? xstrndup(at + 1, (size_t)(end - at - 1)) : NULL;
        if (*at != '{' || !end || *end != '}' || end[1] == '{')
            return fail(err, ERR_INVALID, "resource '%s': the braces of its template do not hold one name each", uri);
        if (contract_name("a name in its template", name, LIMIT_TOOL_NAME, err) < 0)
            return error_prefix(err, "resource '%s': ", uri);
        at = end;
    }
    return 0;
}

static int check_declared(const struct theseus_resource *declared, struct theseus_error *err) {
    if (!declared->name || !*declared->name)
        return fail(err, ERR_INVALID, "has no name; set .name");
    if (!declared->read)
        return fail(err, ERR_INVALID, "has no handler; set .read");
    for (size_t i = 0; i < ARRAY_SIZE(declared->reserved); i++)
        if (declared->reserved[i])
            return fail(err, ERR_INVALID, "sets a reserved member of struct theseus_resource, which must be zero");
    if (contract_text("name", declared->name, err) < 0 || contract_text("title", declared->title, err) < 0 ||
        contract_text("description", declared->description, err) < 0)
        return -1;
    return contract_text("mime_type", declared->mime_type, err);
}

static struct resource *resource_new(const struct theseus_resource *declared) {
    struct resource *resource = xcalloc(1, sizeof(*resource));

    resource->is_template = strchr(declared->uri, '{') != NULL;
    resource->mime_type = declared->mime_type ? xstrdup(declared->mime_type) : NULL;
    resource->entry = json_pack("{s:s, s:s, s:s*, s:s*, s:s*}", resource->is_template ? "uriTemplate" : "uri",
                                declared->uri, "name", declared->name, "title", declared->title, "description",
                                declared->description, "mimeType", declared->mime_type);
    return resource;
}

int resource_tool_new(struct tool **ret_tool, const struct theseus_resource *declared, struct theseus_error *err) {
    if (check_uri(declared->uri, err) < 0 || check_template(declared->uri, err) < 0)
        return -1;
    if (check_declared(declared, err) < 0)
        return error_prefix(err, "resource '%s': ", declared->uri);
    struct tool *tool = xcalloc(1, sizeof(*tool));
    (void)pthread_mutex_init(&tool->reading, NULL);
    tool->input_text = xstrdup(any_arguments);
    tool->name = xstrdup(declared->uri);
    tool->flags = THESEUS_READ_ONLY;
    tool->call = declared->read;
    tool->resource = resource_new(declared);
    *ret_tool = tool;
    return 0;
}

/* ---- which URIs it serves ---- */

/* Takes what stands for one name; NULL: nothing can. */
static const char *take_name(const char *template, const char *uri, json_t *args, const char **ret_rest) {
    const char *end = strchr(template, '}');
    size_t len = end[1] ? 0 : strlen(uri); /* up to where the template goes on */
    const char *stop = end[1] ? strchr(uri, end[1]) : uri + len;
    CLEANUP(free) char *name = xstrndup(template + 1, (size_t)(end - template - 1));

    if (!stop || stop == uri || memchr(uri, '/', (size_t)(stop - uri)))
        return NULL;
    if (json_object_set_new(args, name, json_stringn(uri, (size_t)(stop - uri))) < 0)
        return NULL;
    *ret_rest = end + 1;
    return stop;
}

json_t *resource_match_new(const struct tool *tool, const char *uri) {
    json_auto_t *args = json_pack("{s:s}", "uri", uri);
    const char *template = tool->name, *at = uri;

    while (at && args && *template) {
        if (*template == '{')
            at = take_name(template, at, args, &template);
        else
            at = *template ++ == *at ? at + 1 : NULL;
    }
    return at && args && !*at ? TAKE_PTR(args) : NULL;
}
