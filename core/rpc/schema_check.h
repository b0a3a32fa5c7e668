/*
 * One check of one value, on one thread.
 *
 * Every function returns 0 (it holds), CHECK_MISMATCH (it does not), or <0 (it cannot be decided: too much work, no
 * memory), which ends the whole check. While `quiet` is not 0, mismatches are expected and only their depth and kind
 * are noted: no text is made for an alternative that another one may yet make good.
 */
#pragma once

#include "rpc/schema_node.h"
#include "rpc/schema_place.h"
#include "rpc/schema_seen.h"

enum { CHECK_MISMATCH = 1 };

/* How near to a match a mismatch was; more is nearer. */
enum check_rank { RANK_CONSTANT, RANK_TYPE, RANK_REQUIRED, RANK_DETAIL };

struct check_failure {
    unsigned depth;
    enum check_rank rank;
};

/* The resources that have been entered, innermost first. */
struct scope {
    const struct scope *outer;
    const struct resource *resource;
};

struct check {
    const struct place *place; /* of the value that is being checked */
    const struct scope *scope;
    struct effort effort;
    struct pattern_work patterns;
    unsigned depth;  /* of that value */
    unsigned nested; /* schemas entered for that value */
    unsigned frames; /* schemas entered in all */
    unsigned quiet;
    unsigned explaining;          /* alternatives that are being tried aloud, one inside the other */
    bool of_name;                 /* the value is a property's name */
    struct check_failure failure; /* of the latest mismatch */
    struct theseus_error found;
    size_t rule_at; /* where the rule begins in found.message */
};

int check_node(struct check *check, const struct node *node, const json_t *value, struct seen *seen);
int check_child(struct check *check, const struct node *node, const json_t *value, const struct place *place);
int check_quietly(struct check *check, const struct node *node, const json_t *value, struct seen *seen);

/* The parts of check_node(). Each is called with a node that has that part, and a value of that type. */
int check_object(struct check *check, const struct object_rules *rules, const json_t *value, struct seen *seen);
int check_array(struct check *check, const struct array_rules *rules, const json_t *value, struct seen *seen);
int check_logic(struct check *check, const struct logic_rules *rules, const json_t *value, struct seen *seen);
int check_flat(struct check *check, const struct node *node, const json_t *value);
int check_dialect(struct check *check, const json_t *value);

/* What is left when all other rules of a schema have held. */
int check_unevaluated_properties(struct check *check, const struct object_rules *rules, const json_t *value,
                                 struct seen *seen);
int check_unevaluated_items(struct check *check, const struct node *node, const json_t *value, struct seen *seen);

int check_mismatch(struct check *check, enum check_rank rank, const char *format, ...) PRINTF_LIKE(3, 4);
int check_stop(struct check *check); /* the effort has ended */
int check_no_memory(struct check *check);
int check_unmatched(struct check *check, const char *keyword); /* pattern_match() has failed, and said why */

static inline bool check_may_go_on(struct check *check, size_t steps) {
    return effort_take(&check->effort, steps);
}
