#include "rpc/schema_index.h"

#include <stdlib.h>

#include "base/limits.h"
#include "rpc/schema_uri.h"
#include "rpc/schema_value.h"

/* One step of the walk over a document. */
struct walk {
    struct index *index;
    struct resource *resource;
    unsigned depth;
    bool stray; /* names are not noted */
};

static const char *const dialects[] = {
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft-07/schema",
};

static const struct {
    const char *name;
    unsigned bit;
} vocabularies[] = {
    {"core", VOCABULARY_CORE},
    {"applicator", VOCABULARY_APPLICATOR},
    {"unevaluated", VOCABULARY_UNEVALUATED},
    {"validation", VOCABULARY_VALIDATION},
    {"meta-data", VOCABULARY_META_DATA},
    {"format-annotation", VOCABULARY_FORMAT},
    {"content", VOCABULARY_CONTENT},
};

void index_init(struct index *index, struct schema *schema, const struct schema_options *options,
                struct theseus_error *err) {
    *index = (struct index){.schema = schema, .options = options, .by_uri = map_new(), .roots = map_new(), .err = err};
}

void index_fini(struct index *index) {
    index->by_uri = map_free(index->by_uri);
    index->roots = map_free(index->roots);
}

static struct span without_fragment(const char *uri) {
    struct span rest, fragment;

    uri_split(span_of(uri), &rest, &fragment);
    return rest;
}

bool index_is_dialect(struct span uri) {
    for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
        if (span_equals(uri, dialects[i]))
            return true;
    return false;
}

static const json_t *find_remote(const struct index *index, struct span uri) {
    for (size_t i = 0; i < index->options->remote_count; i++)
        if (span_same(without_fragment(index->options->remotes[i].uri), uri))
            return index->options->remotes[i].document;
    return NULL;
}

static unsigned vocabulary_bit(const char *uri) {
    static const char base[] = "https://json-schema.org/draft/2020-12/vocab/";

    if (strncmp(uri, base, sizeof(base) - 1) != 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(vocabularies); i++)
        if (strcmp(uri + sizeof(base) - 1, vocabularies[i].name) == 0)
            return vocabularies[i].bit;
    return 0;
}

/* The vocabularies that a dialect's own schema names; unknown ones may only be optional. */
static int read_vocabularies(struct walk *walk, const json_t *metaschema, const char *where) {
    const json_t *named = json_object_get(metaschema, "$vocabulary");
    unsigned bits = VOCABULARY_CORE;

    for (void *at = json_object_iter((json_t *)named); at; at = json_object_iter_next((json_t *)named, at)) {
        const char *uri = json_object_iter_key(at);
        unsigned bit = vocabulary_bit(uri);
        if (bit == 0 && !json_is_false(json_object_iter_value(at)))
            return fail(walk->index->err, ERR_INVALID,
                        "%s: the vocabulary '%.80s' that '$schema' requires is not supported", where, uri);
        bits |= bit;
    }
    walk->resource->vocabularies = named ? bits : VOCABULARY_ALL;
    return 0;
}

static int read_dialect(struct walk *walk, const json_t *schema, const struct place *place) {
    const char *dialect = json_string_value(json_object_get(schema, "$schema"));
    char text[PLACE_TEXT_BYTES];

    if (!dialect)
        return 0;
    struct span uri = without_fragment(dialect);
    const json_t *metaschema = find_remote(walk->index, uri);
    if (metaschema)
        return read_vocabularies(walk, metaschema, place_text(place, "the schema", text));
    if (index_is_dialect(uri))
        return 0;
    return fail(walk->index->err, ERR_INVALID, "%s: the dialect '%.80s' of '$schema' is not supported; use '%s'",
                place_text(place, "the schema", text), dialect, dialects[0]);
}

/* Begins a resource where the schema has its own identifier, or is the document's root. */
static int enter_resource(struct walk *walk, const json_t *schema, const struct place *place) {
    const char *id = json_string_value(json_object_get(schema, "$id"));
    struct index *index = walk->index;
    char text[PLACE_TEXT_BYTES];

    if (!id || walk->stray)
        return 0;
    CLEANUP(free) char *uri = uri_resolve(walk->resource->uri, without_fragment(id));
    struct resource *known = map_get(index->by_uri, span_of(uri));
    if (known && known->root != schema)
        return fail(index->err, ERR_INVALID, "%s: '$id' makes '%.100s', which another schema is called already",
                    place_text(place, "the schema", text), uri);
    if (!known) {
        known = resource_new(index->schema, TAKE_PTR(uri));
        known->vocabularies = walk->resource->vocabularies;
        known->root = schema;
        (void)map_put(index->by_uri, span_of(known->uri), known);
    }
    (void)map_put(index->roots, index_key(&schema), known);
    walk->resource = known;
    return 0;
}

static int add_anchor(struct walk *walk, const json_t *schema, const char *keyword, const struct place *place) {
    const char *name = json_string_value(json_object_get(schema, keyword));
    struct resource *resource = walk->resource;
    char text[PLACE_TEXT_BYTES];

    if (!name || walk->stray)
        return 0;
    const struct anchor *known = resource_find_anchor(resource, name, false);
    if (known && known->json != schema)
        return fail(walk->index->err, ERR_INVALID, "%s: '%s' gives the name '%.80s', which another schema has already",
                    place_text(place, "the schema", text), keyword, name);
    resource->anchors = xreallocarray(resource->anchors, resource->anchor_count + 1, sizeof(*resource->anchors));
    resource->anchors[resource->anchor_count++] =
        (struct anchor){.name = xstrdup(name), .json = schema, .dynamic = strcmp(keyword, "$dynamicAnchor") == 0};
    return 0;
}

static int refuse_unknown(struct walk *walk, const char *name, const struct place *place) {
    char text[PLACE_TEXT_BYTES], shown[64];
    const char *where = place_text(place, "the schema", text);
    const char *meant = keyword_suggest(name);

    shown[place_printable(shown, sizeof(shown) - 5, name, strlen(name))] = '\0';
    if (keyword_find(name))
        return fail(walk->index->err, ERR_INVALID, "%s: '%s' is in no vocabulary of the dialect that '$schema' names",
                    where, shown);
    if (meant)
        return fail(walk->index->err, ERR_INVALID, "%s: unknown keyword '%s'; did you mean '%s'?", where, shown, meant);
    return fail(walk->index->err, ERR_INVALID,
                "%s: unknown keyword '%s'; what is not JSON Schema 2020-12 may begin with 'x-'", where, shown);
}

static bool has_nul_key(const json_t *word) {
    if (!json_is_object(word))
        return false;
    for (void *at = json_object_iter((json_t *)word); at; at = json_object_iter_next((json_t *)word, at))
        if (strlen(json_object_iter_key(at)) != json_object_iter_key_len(at))
            return true;
    return false;
}

static int walk_schema(void *arg, const json_t *schema, const struct place *place);

static int walk_keyword(struct walk *walk, const char *name, const json_t *word, const struct place *place) {
    const struct keyword *keyword = index_keyword(walk->resource, name);
    char text[PLACE_TEXT_BYTES], brief[VALUE_BRIEF_BYTES];

    if (!keyword)
        return walk->index->options->lenient ? 0 : refuse_unknown(walk, name, place);
    const char *form = keyword_misfit(keyword, word);
    if (form) {
        const char *is = value_brief(word, brief);
        bool said = strncmp(form, is, strlen(is)) == 0; /* "must be an array of …, is an array" tells nothing */
        return fail(walk->index->err, ERR_INVALID, "%s: '%s' must be %s%s%s", place_text(place, "the schema", text),
                    name, form, said ? "" : ", is ", said ? "" : is);
    }
    if (keyword->form != FORM_ANY && has_nul_key(word))
        return fail(walk->index->err, ERR_INVALID, "%s: '%s' has a name with a NUL character in it",
                    place_text(place, "the schema", text), name);
    return keyword_visit(keyword, word, place, walk_schema, walk);
}

static int walk_keywords(struct walk *walk, const json_t *schema, const struct place *place) {
    static const char *const first[] = {"$id", "$schema", "$anchor", "$dynamicAnchor"};
    char text[PLACE_TEXT_BYTES];

    for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
        const json_t *word = json_object_get(schema, first[i]);
        if (word && walk_keyword(walk, first[i], word, place) < 0)
            return -1;
    }
    if (enter_resource(walk, schema, place) < 0 || read_dialect(walk, schema, place) < 0 ||
        add_anchor(walk, schema, "$anchor", place) < 0 || add_anchor(walk, schema, "$dynamicAnchor", place) < 0)
        return -1;
    if (has_nul_key(schema))
        return fail(walk->index->err, ERR_INVALID, "%s: a keyword with a NUL character in it",
                    place_text(place, "the schema", text));
    for (void *at = json_object_iter((json_t *)schema); at; at = json_object_iter_next((json_t *)schema, at))
        if (walk_keyword(walk, json_object_iter_key(at), json_object_iter_value(at), place) < 0)
            return -1;
    return 0;
}

static int walk_schema(void *arg, const json_t *schema, const struct place *place) {
    struct walk inner = *(const struct walk *)arg;
    char text[PLACE_TEXT_BYTES];

    if (json_is_boolean(schema))
        return 0;
    if (!json_is_object(schema))
        return fail(inner.index->err, ERR_INVALID, "%s: must be a schema, that is an object or a boolean, is %s",
                    place_text(place, "the schema", text), schema ? value_kind(schema) : "nothing");
    if (++inner.depth > LIMIT_SCHEMA_DEPTH)
        return fail(inner.index->err, ERR_LIMIT, "%s: schemas are nested more than %d levels deep",
                    place_text(place, "the schema", text), LIMIT_SCHEMA_DEPTH);
    return walk_keywords(&inner, schema, place);
}

struct resource *index_add(struct index *index, const json_t *document, const char *uri) {
    const char *id = json_string_value(json_object_get(document, "$id"));
    CLEANUP(free) char *own = uri_resolve(uri, id ? without_fragment(id) : (struct span){0});
    struct resource *resource = resource_new(index->schema, TAKE_PTR(own));
    struct walk walk = {.index = index, .resource = resource};
    struct place root = {0};

    resource->root = document;
    resource->vocabularies = VOCABULARY_ALL;
    if (!map_get(index->by_uri, span_of(resource->uri)))
        (void)map_put(index->by_uri, span_of(resource->uri), resource);
    (void)map_put(index->by_uri, span_of(uri), resource); /* by where it was, as well */
    return walk_schema(&walk, document, &root) < 0 ? NULL : resource;
}

struct resource *index_find(struct index *index, const char *uri) {
    struct resource *resource = map_get(index->by_uri, span_of(uri));
    const json_t *document = resource ? NULL : find_remote(index, span_of(uri));

    if (!document)
        return resource;
    resource = index_add(index, document, uri);
    if (!resource)
        (void)error_prefix(index->err, "in '%.80s': ", uri);
    return resource;
}

int index_check_stray(struct index *index, const json_t *schema, struct resource *resource) {
    struct walk walk = {.index = index, .resource = resource, .stray = true};
    struct place root = {0};

    return walk_schema(&walk, schema, &root);
}

struct resource *index_resource_at(const struct index *index, const json_t *schema, struct resource *outer) {
    struct resource *own = map_get(index->roots, index_key(&schema));

    return own ? own : outer;
}

const struct keyword *index_keyword(const struct resource *resource, const char *name) {
    const struct keyword *keyword = keyword_find(name);

    return keyword && (keyword->vocabulary & resource->vocabularies) ? keyword : NULL;
}
