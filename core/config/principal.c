#include "config/principal.h"

#include <errno.h>
#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/words.h"

enum { USER_BYTES = 16 * 1024, GROUP_BYTES = 1024 * 1024 /* all its members */, PATTERN_BYTES = 256 };

static const char separators[] = ", \t\n";
static const char uid_prefix[] = "uid:";

/* ---- reading ---- */

static bool is_number(const char *text) {
    return *text && strspn(text, "0123456789") == strlen(text);
}

static int look_up(const char *name, uid_t *ret_uid, struct theseus_error *err) {
    CLEANUP(free) char *buffer = xcalloc(USER_BYTES, 1);
    struct passwd entry, *found = NULL;

    if (getpwnam_r(name, &entry, buffer, USER_BYTES, &found) != 0 || !found)
        return fail(err, ERR_INVALID, "there is no user '%.60s'; write the number, or make the user first", name);
    *ret_uid = found->pw_uid;
    return 0;
}

static int look_up_group(const char *name, struct theseus_error *err) {
    CLEANUP(free) char *buffer = xcalloc(GROUP_BYTES, 1);
    struct group entry, *found = NULL;

    if (getgrnam_r(name, &entry, buffer, GROUP_BYTES, &found) != 0 || !found)
        return fail(err, ERR_INVALID, "there is no group '%.60s'; write the number, or make the group first", name);
    return 0;
}

static int parse_number(const char *text, uid_t *ret_uid, struct theseus_error *err) {
    errno = 0;
    unsigned long number = strtoul(text, NULL, 10);

    if (errno || number >= (uid_t)-1)
        return fail(err, ERR_INVALID, "'%.60s' is no number of a user or a group", text);
    *ret_uid = (uid_t)number;
    return 0;
}

static int parse_user(const char *word, char **ret_word, struct theseus_error *err) {
    uid_t uid = 0;

    if ((is_number(word) ? parse_number(word, &uid, err) : look_up(word, &uid, err)) < 0)
        return -1;
    *ret_word = xstrdup(word);
    return 0;
}

static int parse_group(const char *word, char **ret_word, struct theseus_error *err) {
    uid_t gid = 0;

    if ((is_number(word) ? parse_number(word, &gid, err) : look_up_group(word, err)) < 0)
        return -1;
    *ret_word = xstrdup(word);
    return 0;
}

/* The word as it is kept, owned. */
static int parse_principal(const char *word, char **ret_word, struct theseus_error *err) {
    size_t prefix = strlen(uid_prefix);
    uid_t uid = 0;

    if (strcmp(word, "own") == 0 || strcmp(word, "others") == 0) {
        *ret_word = xstrdup(word);
        return 0;
    }
    if (strncmp(word, uid_prefix, prefix) != 0 || !word[prefix])
        return fail(err, ERR_INVALID, "'%.60s' is none of own, others, uid:NUMBER and uid:NAME", word);
    word += prefix;
    if ((is_number(word) ? parse_number(word, &uid, err) : look_up(word, &uid, err)) < 0)
        return -1;
    *ret_word = xasprintf("%s%u", uid_prefix, (unsigned)uid);
    return 0;
}

static int parse_rule(const char *word, char **ret_word, struct theseus_error *err) {
    const char *at = strrchr(word, '@');
    CLEANUP(free) char *who = NULL;

    if (at == word || strlen(word) > PATTERN_BYTES)
        return fail(err, ERR_INVALID, "'%.60s' is no pattern of tools' names, or too long", word);
    if (at && parse_principal(at + 1, &who, err) < 0)
        return error_prefix(err, "'%.60s': ", word);
    *ret_word = at ? xasprintf("%.*s@%s", (int)(at - word), word, who) : xstrdup(word);
    return 0;
}

static int parse_each(const char *text, int (*parse)(const char *word, char **ret_word, struct theseus_error *err),
                      char ***ret_words, struct theseus_error *err) {
    char **given = words_split(text, separators), **words = words_split("", separators);
    int r = 0;

    for (char **word = given; *word && r == 0; word++) {
        char *parsed = NULL;
        r = parse(*word, &parsed, err);
        if (r == 0)
            words_add(&words, parsed);
    }
    (void)words_free(given);
    if (r == 0)
        *ret_words = words;
    else
        (void)words_free(words);
    return r;
}

/* What is said of everybody; NULL: it is something else. */
static const char *for_everybody(const char *text, const char *const *more) {
    static const char *const truths[] = {"yes", "true", "on", "1"}, *const lies[] = {"no", "false", "off", "0"};

    for (size_t i = 0; i < ARRAY_SIZE(truths); i++)
        if (strcasecmp(text, truths[i]) == 0)
            return truths[0];
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
        if (strcasecmp(text, lies[i]) == 0)
            return lies[0];
    for (; more && *more; more++)
        if (strcmp(text, *more) == 0)
            return *more;
    return NULL;
}

int principal_parse_list(const char *text, const char *const *more, char ***ret_words, struct theseus_error *err) {
    const char *word = for_everybody(text, more);

    if (word) {
        *ret_words = words_split(word, separators);
        return 0;
    }
    if (!text[strspn(text, separators)])
        return fail(err, ERR_INVALID, "nobody is named; write 'no' for nobody");
    return parse_each(text, parse_principal, ret_words, err);
}

int principal_parse_rules(const char *text, char ***ret_words, struct theseus_error *err) {
    return parse_each(text, parse_rule, ret_words, err);
}

int principal_parse_users(const char *text, char ***ret_words, struct theseus_error *err) {
    return parse_each(text, parse_user, ret_words, err);
}

int principal_parse_groups(const char *text, char ***ret_words, struct theseus_error *err) {
    return parse_each(text, parse_group, ret_words, err);
}

/* ---- asking ---- */

static bool is_principal(const char *word, long uid) {
    if (strcmp(word, "own") == 0)
        return uid == (long)geteuid();
    if (strcmp(word, "others") == 0)
        return uid != (long)geteuid();
    return uid >= 0 && strncmp(word, uid_prefix, strlen(uid_prefix)) == 0 &&
           strtol(word + strlen(uid_prefix), NULL, 10) == uid;
}

bool principal_says(char *const *words, const char *word) {
    return words && *words && !words[1] && strcmp(*words, word) == 0;
}

bool principal_listed(char *const *words, long uid) {
    if (principal_says(words, "yes"))
        return true;
    for (; words && *words; words++)
        if (is_principal(*words, uid))
            return true;
    return false;
}

static bool fits(const char *rule, const char *name, long uid) {
    const char *at = strrchr(rule, '@');
    char pattern[PATTERN_BYTES + 1];

    if (!at)
        return fnmatch(rule, name, 0) == 0;
    (void)snprintf(pattern, sizeof(pattern), "%.*s", (int)(at - rule), rule);
    return is_principal(at + 1, uid) && fnmatch(pattern, name, 0) == 0;
}

const char *principal_rule(char *const *rules, const char *name, long uid) {
    for (; rules && *rules; rules++)
        if (fits(*rules, name, uid))
            return *rules;
    return NULL;
}
