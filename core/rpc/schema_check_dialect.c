/* The value must be a schema: every keyword in it that we know has the form that it must have. Others may be there. */
#include "base/limits.h"
#include "rpc/schema_check.h"
#include "rpc/schema_keyword.h"
#include "rpc/schema_value.h"

static int check_schema(void *arg, const json_t *schema, const struct place *place);

static int check_keyword(struct check *check, const struct keyword *keyword, const json_t *word) {
    const char *form = keyword_misfit(keyword, word);
    struct place place = {.up = check->place, .key = keyword->name, .key_len = strlen(keyword->name)};
    char brief[VALUE_BRIEF_BYTES];

    if (!form)
        return keyword_visit(keyword, word, check->place, check_schema, check);
    const struct place *outer = check->place;
    check->place = &place;
    int r = check_mismatch(check, RANK_DETAIL, "must be %s, is %s", form, value_brief(word, brief));
    check->place = outer;
    return r;
}

static int check_keywords(struct check *check, const json_t *schema) {
    int r = 0;

    if (json_is_boolean(schema))
        return 0;
    if (!json_is_object(schema))
        return check_mismatch(check, RANK_TYPE, "must be a schema, that is an object or a boolean, is %s",
                              value_kind(schema));
    for (void *at = json_object_iter((json_t *)schema); at && r == 0;
         at = json_object_iter_next((json_t *)schema, at)) {
        const struct keyword *keyword = keyword_find(json_object_iter_key(at));
        if (keyword)
            r = check_keyword(check, keyword, json_object_iter_value(at));
    }
    return r;
}

static int check_schema(void *arg, const json_t *schema, const struct place *place) {
    struct check *check = arg;
    const struct place *outer = check->place;

    if (!check_may_go_on(check, 1 + json_object_size(schema)))
        return check_stop(check);
    if (check->depth == LIMIT_JSON_DEPTH) {
        effort_end_too_deep(&check->effort);
        return check_stop(check);
    }
    check->place = place;
    check->depth++;
    int r = check_keywords(check, schema);
    check->depth--;
    check->place = outer;
    return r;
}

int check_dialect(struct check *check, const json_t *value) {
    return check_keywords(check, value);
}
