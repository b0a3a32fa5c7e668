#include "rpc/schema.h"

#include "rpc/schema_compile.h"

int schema_new(struct schema **ret_schema, const json_t *document, struct theseus_error *err) {
    return schema_new_with_options(ret_schema, document, &(struct schema_options){0}, err);
}

int schema_new_with_options(struct schema **ret_schema, const json_t *document, const struct schema_options *options,
                            struct theseus_error *err) {
    CLEANUP(schema_free) struct schema *schema = xcalloc(1, sizeof(*schema));
    CLEANUP(compiler_fini) struct compiler compiler;
    struct theseus_error found = {0};
    struct place root = {0};

    compiler_init(&compiler, schema, options, &found);
    struct resource *resource = index_add(&compiler.index, document, "");
    if (resource)
        schema->root = compiler_node(&compiler, document, resource, &root);
    if (!schema->root || compiler_resolve(&compiler) < 0)
        return fail(err, (enum errc)found.code, "%s", found.message);
    *ret_schema = TAKE_PTR(schema);
    return 0;
}
