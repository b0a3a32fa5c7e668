#include "test.h"

#include "rpc/schema_uri.h"

#include <stdlib.h>

static void becomes(const char *base, const char *reference, const char *wanted) {
    CLEANUP(free) char *uri = uri_resolve(base, span_of(reference));

    assert_string_equal(uri, wanted);
}

static void resolves_as_the_rfc_shows(void **state) {
    static const char base[] = "http://a/b/c/d;p?q";

    (void)state;
    becomes(base, "g:h", "g:h");
    becomes(base, "g", "http://a/b/c/g");
    becomes(base, "./g", "http://a/b/c/g");
    becomes(base, "g/", "http://a/b/c/g/");
    becomes(base, "/g", "http://a/g");
    becomes(base, "//g", "http://g");
    becomes(base, "?y", "http://a/b/c/d;p?y");
    becomes(base, "g?y", "http://a/b/c/g?y");
    becomes(base, ";x", "http://a/b/c/;x");
    becomes(base, "", "http://a/b/c/d;p?q");
    becomes(base, ".", "http://a/b/c/");
    becomes(base, "..", "http://a/b/");
    becomes(base, "../g", "http://a/b/g");
    becomes(base, "../../g", "http://a/g");
    becomes(base, "../../../../g", "http://a/g");
    becomes(base, "/./g", "http://a/g");
    becomes(base, "/../g", "http://a/g");
    becomes(base, "g.", "http://a/b/c/g.");
    becomes(base, "..g", "http://a/b/c/..g");
    becomes(base, "./../g", "http://a/b/g");
    becomes(base, "g/../h", "http://a/b/c/h");
    becomes(base, "g?y/../x", "http://a/b/c/g?y/../x");
    becomes("http://a", "g", "http://a/g");
    becomes("", "g", "g");
    becomes("urn:uuid:1", "", "urn:uuid:1");
}

static void divides_at_the_fragment(void **state) {
    struct span rest, fragment;

    (void)state;
    uri_split(span_of("a#b#c"), &rest, &fragment);
    assert_true(span_equals(rest, "a"));
    assert_true(span_equals(fragment, "b#c"));
    uri_split(span_of("a"), &rest, &fragment);
    assert_true(span_equals(rest, "a"));
    assert_null(fragment.data);
}

static void decodes_percents(void **state) {
    CLEANUP(free) char *good = uri_decode(span_of("a%2fb%C3%a4"));
    static const char *const bad[] = {"%", "%4", "%zz", "a%00b"};

    (void)state;
    assert_string_equal(good, "a/b\xc3\xa4");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_null(uri_decode(span_of(bad[i])));
}

static void takes_a_pointer_apart(void **state) {
    const char *pointer = "/a~1b~01//c";
    CLEANUP(free) char *first = uri_pointer_next(&pointer);
    CLEANUP(free) char *second = uri_pointer_next(&pointer);
    CLEANUP(free) char *third = uri_pointer_next(&pointer);

    (void)state;
    assert_string_equal(first, "a/b~1");
    assert_string_equal(second, "");
    assert_string_equal(third, "c");
    assert_string_equal(pointer, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolves_as_the_rfc_shows),
        cmocka_unit_test(divides_at_the_fragment),
        cmocka_unit_test(decodes_percents),
        cmocka_unit_test(takes_a_pointer_apart),
    };

    return cmocka_run_group_tests_name("rpc/schema_uri", tests, NULL, NULL);
}
