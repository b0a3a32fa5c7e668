#include "rpc/shape.h"

#include <string.h>

/* An object that nobody else sees: the given one if the reference is the only one, else a copy of its first level. */
static json_t *own(json_t *object) {
    if (object && object->refcount == 1)
        return object;
    json_t *copy = json_copy(object);
    json_decref(object);
    return copy;
}

static json_t *add_meta(json_t *result, json_t *server_info) {
    json_t *meta = json_object_get(result, "_meta");
    json_t *own_meta = json_is_object(meta) ? json_copy(meta) : json_object();

    if (json_object_set(own_meta, META_SERVER, server_info) < 0 ||
        json_object_set_new_nocheck(result, "_meta", json_incref(own_meta)) < 0)
        result = (json_decref(result), NULL);
    json_decref(own_meta);
    return result;
}

static json_t *add_new(json_t *result, const char *key, json_t *value) {
    if (json_object_set_new_nocheck(result, key, value) == 0)
        return result;
    json_decref(result);
    return NULL;
}

json_t *shape_result(const struct revision *revision, json_t *result, json_t *server_info, bool cacheable) {
    if (!revision->modern)
        return result;
    json_t *mine = own(result);
    if (mine && !json_object_get(mine, "resultType"))
        mine = add_new(mine, "resultType", json_string_nocheck("complete"));
    if (mine && cacheable)
        mine = add_new(mine, "ttlMs", json_integer(0));
    if (mine && cacheable)
        mine = add_new(mine, "cacheScope", json_string_nocheck("private"));
    return mine ? add_meta(mine, server_info) : NULL;
}

/* Legacy SDK clients reject the whole list for an output schema whose root is no object. */
static bool has_object_root(const json_t *schema) {
    const char *type = json_string_value(json_object_get(schema, "type"));

    return type && strcmp(type, "object") == 0;
}

json_t *shape_tool(const struct revision *revision, json_t *tool) {
    json_t *mine = own(tool);

    if (!mine)
        return NULL;
    if (!revision->annotations)
        (void)json_object_del(mine, "annotations");
    if (!revision->titles)
        (void)json_object_del(mine, "title");
    if (!revision->structured || (!revision->modern && !has_object_root(json_object_get(mine, "outputSchema"))))
        (void)json_object_del(mine, "outputSchema");
    return mine;
}

static const char *text_of(const json_t *item, const char *key) {
    const char *text = json_string_value(json_object_get(item, key));

    return text ? text : "";
}

/* A content item of a type that the client does not know becomes a text that says what it was. NULL: leave it. */
static json_t *as_text_new(const struct revision *revision, const json_t *item) {
    const char *type = text_of(item, "type");

    if (!revision->links && strcmp(type, "resource_link") == 0)
        return json_pack("{s:s, s:s++++}", "type", "text", "text", "Resource ", text_of(item, "name"), " (",
                         text_of(item, "uri"), ")");
    if (!revision->audio && strcmp(type, "audio") == 0)
        return json_pack("{s:s, s:s++}", "type", "text", "text", "[audio of type ", text_of(item, "mimeType"),
                         ", which this client cannot take]");
    return NULL;
}

static json_t *fit_content_new(const struct revision *revision, const json_t *content) {
    json_t *fitted = json_array();
    json_t *item;
    size_t i;

    json_array_foreach (content, i, item) {
        json_t *text = as_text_new(revision, item);
        if (json_array_append_new(fitted, text ? text : json_incref(item)) == 0)
            continue;
        json_decref(fitted);
        return NULL;
    }
    return fitted;
}

json_t *shape_tool_result(const struct revision *revision, json_t *result) {
    const json_t *structured = json_object_get(result, "structuredContent");
    bool fits_all = revision->links && revision->audio;

    if (revision->modern || (fits_all && (!structured || json_is_object(structured))))
        return result;
    json_t *mine = own(result);
    if (mine && (!revision->structured || !json_is_object(structured)))
        (void)json_object_del(mine, "structuredContent");
    if (!mine || fits_all)
        return mine;
    return add_new(mine, "content", fit_content_new(revision, json_object_get(mine, "content")));
}
