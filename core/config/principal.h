/*
 * Principals: who may do what, as [access] says it. A principal is the user of the client's process, as the kernel
 * tells it: `own` (the server's), `others` (every other), or `uid:N`. Lists are kept as words in which names of users
 * have become numbers already, so that asking looks nobody up. A uid below 0 is an unknown user: one of the others.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* "yes", "no", one of `more` (NULL-terminated; may be NULL), or principals. The caller frees the words. */
MUST_CHECK int principal_parse_list(const char *text, const char *const *more, char ***ret_words,
                                    struct theseus_error *err);
/* PATTERN (everybody) or PATTERN@PRINCIPAL, each. */
MUST_CHECK int principal_parse_rules(const char *text, char ***ret_words, struct theseus_error *err);

/* Users, or groups, by number or name, none at all included; kept as they are written. One that is not there is
 * refused.
 */
MUST_CHECK int principal_parse_users(const char *text, char ***ret_words, struct theseus_error *err);
MUST_CHECK int principal_parse_groups(const char *text, char ***ret_words, struct theseus_error *err);

/* Does the list name that user? One of "more" is none of its principals. */
bool principal_listed(char *const *words, long uid);
bool principal_says(char *const *words, const char *word); /* the list is that one word */
/* The first rule whose pattern and principal fit; borrowed. NULL: none. */
const char *principal_rule(char *const *rules, const char *name, long uid);
