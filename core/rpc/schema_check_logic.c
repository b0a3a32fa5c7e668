/*
 * The rules that combine schemas.
 *
 * When no alternative of anyOf or oneOf holds, the message should say what to mend. Alternatives are tried quietly; the
 * one that failed deepest in the value is the one that was most likely meant, and is tried once more, aloud. Those that
 * came equally far are all heard, and where none got beyond the value itself, each of them is.
 */
#include <stdio.h>
#include <string.h>

#include "rpc/schema_check.h"

enum { LISTED = 4, EXPLAINED = 64 /* levels of alternatives inside alternatives */ };

static bool is_nearer(struct check_failure a, struct check_failure b) {
    return a.depth != b.depth ? a.depth > b.depth : a.rank > b.rank;
}

/* Tries one alternative aloud; *ret_why gets what it has to say, and the check's own error is left alone. */
static int ask(struct check *check, const struct node *node, const json_t *value, struct theseus_error *ret_why) {
    struct theseus_error before = check->found;

    check->found = (struct theseus_error){0};
    check->explaining++;
    int r = check_node(check, node, value, NULL);
    check->explaining--;
    *ret_why = check->found;
    if (r >= 0)
        check->found = before;
    return r;
}

/* The complaints of several alternatives in one text; the place is said once where it is the same. */
struct complaints {
    char text[sizeof(((struct theseus_error *)NULL)->message)];
    size_t used, place_len, count;
};

static void complain(struct complaints *all, const char *message, size_t rule_at) {
    bool same_place = all->count > 0 && rule_at == all->place_len && strncmp(all->text, message, rule_at) == 0;

    if (all->count == 0)
        all->place_len = rule_at;
    if (all->count++ < LISTED && all->used < sizeof(all->text))
        all->used += (size_t)snprintf(all->text + all->used, sizeof(all->text) - all->used, "%s%s",
                                      all->count > 1 ? "; or " : "", message + (same_place ? rule_at : 0));
    else if (all->used < sizeof(all->text))
        all->used += (size_t)snprintf(all->text + all->used, sizeof(all->text) - all->used, "; or \xe2\x80\xa6");
}

static bool is_as_near(struct check_failure a, struct check_failure b) {
    return a.depth == b.depth && a.rank == b.rank;
}

/* Nothing of the value has fitted any alternative: then none of them is nearer. */
static bool is_hopeless(const struct check *check, struct check_failure failure) {
    return failure.depth == check->depth && failure.rank <= RANK_TYPE;
}

static int explain(struct check *check, const struct node_list *list, const json_t *value) {
    const struct check_failure best = check->failure;
    const size_t listed = check->explaining < 2 ? LISTED + 1 : 1; /* or lists of lists of lists would be made */
    struct complaints all = {.text = ""};
    struct theseus_error why;

    if (check->explaining == EXPLAINED)
        return check_mismatch(check, best.rank, "matches no alternative");
    for (size_t i = 0; i < list->count && all.count < listed; i++) {
        int r = check_quietly(check, list->nodes[i], value, NULL);
        if (r == CHECK_MISMATCH && !is_hopeless(check, best) && !is_as_near(check->failure, best))
            continue;
        if (r == CHECK_MISMATCH)
            r = ask(check, list->nodes[i], value, &why);
        if (r < 0)
            return r;
        if (r == CHECK_MISMATCH) /* else the effort has ended meanwhile, and the check with it */
            complain(&all, why.message, check->rule_at);
    }
    check->failure = best;
    check->rule_at = all.place_len;
    if (all.count == 1 && list->count > 1 && check->explaining == 0)
        (void)fail(&check->found, ERR_INVALID, "%s (nearest of %zu alternatives)", all.text, list->count);
    else
        (void)fail(&check->found, ERR_INVALID, "%s", all.text);
    return CHECK_MISMATCH;
}

/* What came of trying alternatives. */
struct tally {
    size_t matches;
    size_t first, latest; /* that matched */
};

/* Stops at so many matches as tally->matches says, unless somebody asks what all of them evaluated. */
static int count_matches(struct check *check, const struct node_list *list, const json_t *value, struct seen *seen,
                         struct tally *tally) {
    struct check_failure best = {0};
    size_t enough = tally->matches;

    *tally = (struct tally){0};
    for (size_t i = 0; i < list->count && (seen || tally->matches < enough); i++) {
        int r = check_quietly(check, list->nodes[i], value, seen);
        if (r < 0)
            return r;
        if (r == CHECK_MISMATCH && (i == 0 || is_nearer(check->failure, best)))
            best = check->failure;
        if (r == 0) {
            tally->latest = i;
            tally->first = tally->matches++ == 0 ? i : tally->first;
        }
    }
    check->failure = best;
    return 0;
}

static int check_any(struct check *check, const struct node_list *list, const json_t *value, struct seen *seen) {
    struct tally tally = {.matches = 1};

    if (count_matches(check, list, value, seen, &tally) < 0)
        return -1;
    if (tally.matches > 0)
        return 0;
    return check->quiet > 0 ? CHECK_MISMATCH : explain(check, list, value);
}

static int check_one(struct check *check, const struct node_list *list, const json_t *value, struct seen *seen) {
    struct tally tally = {.matches = 2};

    if (count_matches(check, list, value, seen, &tally) < 0)
        return -1;
    if (tally.matches == 1)
        return 0;
    if (tally.matches > 1)
        return check_mismatch(check, RANK_DETAIL,
                              "must match exactly one of %zu alternatives of 'oneOf', matches those at %zu and %zu",
                              list->count, tally.first, tally.latest);
    return check->quiet > 0 ? CHECK_MISMATCH : explain(check, list, value);
}

static int check_all(struct check *check, const struct node_list *list, const json_t *value, struct seen *seen) {
    int r = 0;

    for (size_t i = 0; i < list->count && r == 0; i++)
        r = check_node(check, list->nodes[i], value, seen);
    return r;
}

static int check_not(struct check *check, const struct node *node, const json_t *value) {
    int r = check_quietly(check, node, value, NULL);

    if (r < 0)
        return r;
    return r == CHECK_MISMATCH ? 0 : check_mismatch(check, RANK_DETAIL, "must not be what 'not' describes, but is");
}

static int check_condition(struct check *check, const struct logic_rules *rules, const json_t *value,
                           struct seen *seen) {
    int r = check_quietly(check, rules->condition, value, seen);

    if (r < 0)
        return r;
    const struct node *next = r == 0 ? rules->consequence : rules->otherwise;
    return next ? check_node(check, next, value, seen) : 0;
}

int check_logic(struct check *check, const struct logic_rules *rules, const json_t *value, struct seen *seen) {
    int r = check_all(check, &rules->all, value, seen);

    if (r == 0 && rules->any.count > 0)
        r = check_any(check, &rules->any, value, seen);
    if (r == 0 && rules->one.count > 0)
        r = check_one(check, &rules->one, value, seen);
    if (r == 0 && rules->negated)
        r = check_not(check, rules->negated, value);
    if (r == 0 && rules->condition)
        r = check_condition(check, rules, value, seen);
    return r;
}
