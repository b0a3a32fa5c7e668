#include "test.h"

#include "config/principal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/words.h"

static char *joined(char **words) {
    char *text = xstrdup("");

    for (char **word = words; *word; word++) {
        CLEANUP(free) char *before = text;
        text = xasprintf("%s%s ", before, *word);
    }
    (void)words_free(words);
    return text;
}

static const char *const confirm[] = {"confirm", NULL};

static void list_becomes(const char *text, const char *expected) {
    struct theseus_error err = {0};
    char **words = NULL;

    assert_int_equal(principal_parse_list(text, confirm, &words, &err), 0);
    CLEANUP(free) char *got = joined(words);
    assert_string_equal(got, expected);
}

static void list_is_refused(const char *text, const char *expected) {
    struct theseus_error err = {0};
    char **words = NULL;

    assert_int_equal(principal_parse_list(text, confirm, &words, &err), -1);
    assert_non_null(strstr(err.message, expected));
}

static void reads_whom_a_list_names(void **state) {
    (void)state;
    list_becomes("yes", "yes ");
    list_becomes("On", "yes ");
    list_becomes("0", "no ");
    list_becomes("confirm", "confirm ");
    list_becomes("uid:7, own\n others", "uid:7 own others ");
    list_becomes("uid:root", "uid:0 ");
    list_is_refused("", "nobody is named");
    list_is_refused("confirm, uid:7", "'confirm' is none of");
    list_is_refused("yes, uid:7", "'yes' is none of");
    list_is_refused("uid:", "'uid:' is none of");
    list_is_refused("root", "'root' is none of");
    list_is_refused("uid:nobody-of-that-name", "there is no user 'nobody-of-that-name'");
    list_is_refused("uid:4294967295", "no number of a user");
    list_is_refused("uid:99999999999999999999", "no number of a user");
}

static void reads_users_and_groups(void **state) {
    struct theseus_error err = {0};
    char **words = NULL;

    (void)state;
    assert_int_equal(principal_parse_users("root, 65534\n7", &words, &err), 0);
    CLEANUP(free) char *users = joined(words);
    assert_string_equal(users, "root 65534 7 ");
    assert_int_equal(principal_parse_groups("root 7", &words, &err), 0);
    CLEANUP(free) char *groups = joined(words);
    assert_string_equal(groups, "root 7 ");
    assert_int_equal(principal_parse_users("", &words, &err), 0);
    assert_null(*words);
    (void)words_free(words);
    assert_int_equal(principal_parse_users("root, nobody-of-that-name", &words, &err), -1);
    assert_non_null(strstr(err.message, "there is no user 'nobody-of-that-name'; write the number"));
    assert_int_equal(principal_parse_users("roo*", &words, &err), -1); /* not a pattern */
    assert_int_equal(principal_parse_users("4294967295", &words, &err), -1);
    err = (struct theseus_error){0};
    assert_int_equal(principal_parse_groups("none-of-that-name", &words, &err), -1);
    assert_non_null(strstr(err.message, "there is no group 'none-of-that-name'; write the number"));
    assert_int_equal(principal_parse_groups("99999999999999999999", &words, &err), -1);
}

static void reads_rules(void **state) {
    struct theseus_error err = {0};
    char **words = NULL;

    (void)state;
    assert_int_equal(principal_parse_rules("a* b@own,c?@uid:root", &words, &err), 0);
    CLEANUP(free) char *got = joined(TAKE_PTR(words));
    assert_string_equal(got, "a* b@own c?@uid:0 ");
    assert_int_equal(principal_parse_rules("", &words, &err), 0);
    CLEANUP(free) char *none = joined(TAKE_PTR(words));
    assert_string_equal(none, "");
    assert_int_equal(principal_parse_rules("@own", &words, &err), -1);
    err = (struct theseus_error){0};
    assert_int_equal(principal_parse_rules("a b@somebody", &words, &err), -1);
    assert_non_null(strstr(err.message, "'b@somebody': 'somebody' is none of"));
}

static void knows_who_is_listed(void **state) {
    char yes[] = "yes", no[] = "no", own[] = "own", others[] = "others", seven[] = "uid:7", ask[] = "confirm";
    long me = (long)geteuid(), other = me + 1;

    (void)state;
    assert_true(principal_listed((char *[]){yes, NULL}, -1));
    assert_false(principal_listed((char *[]){no, NULL}, me));
    assert_false(principal_listed((char *[]){ask, NULL}, me));
    assert_false(principal_listed(NULL, me));
    assert_true(principal_listed((char *[]){own, NULL}, me));
    assert_false(principal_listed((char *[]){own, NULL}, other));
    assert_false(principal_listed((char *[]){own, NULL}, -1));
    assert_false(principal_listed((char *[]){others, NULL}, me));
    assert_true(principal_listed((char *[]){others, NULL}, -1));
    assert_true(principal_listed((char *[]){own, seven, NULL}, 7));
    assert_false(principal_listed((char *[]){seven, NULL}, 77));
    assert_false(principal_listed((char *[]){seven, NULL}, -1));
    assert_true(principal_says((char *[]){ask, NULL}, "confirm"));
    assert_false(principal_says((char *[]){seven, own, NULL}, "uid:7"));
}

static void finds_the_first_rule_that_fits(void **state) {
    char first[] = "a*@uid:7", second[] = "ab", third[] = "*@others";
    char *rules[] = {first, second, third, NULL};
    long me = (long)geteuid();

    (void)state;
    assert_string_equal(principal_rule(rules, "ac", 7), "a*@uid:7");
    assert_string_equal(principal_rule(rules, "ab", me), "ab");
    assert_null(principal_rule(rules, "x", me));
    assert_string_equal(principal_rule(rules, "x", -1), "*@others");
    assert_null(principal_rule(NULL, "x", me));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_whom_a_list_names),
        cmocka_unit_test(reads_users_and_groups),
        cmocka_unit_test(reads_rules),
        cmocka_unit_test(knows_who_is_listed),
        cmocka_unit_test(finds_the_first_rule_that_fits),
    };

    return cmocka_run_group_tests_name("config/principal", tests, NULL, NULL);
}
