/* Numbers where a plugin has called setlocale(): with a comma for a point, in a locale that is made for the test. */
#include "test.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "rpc/jsontext.h"

/* localedef's sources, complete in themselves: the package that has the usual ones need not be installed. */
static const char charmap[] = "<code_set_name> ASCII\n<mb_cur_max> 1\n<escape_char> /\n"
                              "CHARMAP\n<U0000>..<U007F> /x00 ASCII\nEND CHARMAP\n";
static const char comma[] = "comment_char %\nescape_char /\nLC_NUMERIC\ndecimal_point \",\"\n"
                            "thousands_sep \"\"\ngrouping -1\nEND LC_NUMERIC\n";

struct place {
    char dir[64];
};

static void write_source(const struct place *place, const char *name, const char *text) {
    CLEANUP(free) char *path = path_join(place->dir, name);

    assert_int_equal(fs_write_file(path, span_of(text), 0600, NULL), 0);
}

static int make_place(void **state) {
    struct place *place = xcalloc(1, sizeof(*place));

    *state = place;
    memcpy(place->dir, "/tmp/jsontext-XXXXXX", sizeof("/tmp/jsontext-XXXXXX"));
    if (!mkdtemp(place->dir))
        return -1;
    write_source(place, "charmap", charmap);
    write_source(place, "comma", comma);
    return setenv("LOCPATH", place->dir, 1);
}

static int remove_place(void **state) {
    struct place *place = *state;
    CLEANUP(free) char *locale_dir = path_join(place->dir, "xx_XX");
    CLEANUP(free) char *messages_dir = path_join(locale_dir, "LC_MESSAGES");

    (void)setlocale(LC_ALL, "C");
    fs_remove_dir(messages_dir);
    fs_remove_dir(locale_dir);
    fs_remove_dir(place->dir);
    free(place);
    return 0;
}

/* localedef warns about every category that it was not given, hence the redirection and no look at its status. */
static bool use_comma(const struct place *place) {
    CLEANUP(free)
    char *command = xasprintf("localedef -c --no-archive -f %s/charmap -i %s/comma %s/xx_XX >/dev/null 2>&1",
                              place->dir, place->dir, place->dir);

    return system(command) >= 0 && setlocale(LC_NUMERIC, "xx_XX") && strcmp(localeconv()->decimal_point, ",") == 0;
}

static void uses_the_point_in_any_locale(void **state) {
    static const char text[] = "[1.5,-2.25,3.0,1e22,4.94065645841247e-324]";
    CLEANUP(buf_fini) struct buf out = {0};
    struct theseus_error err = {0};

    if (!use_comma(*state)) {
        print_message("no locale with a comma could be made: is localedef (Debian: libc-bin) installed?\n");
        skip();
    }
    json_auto_t *value = jsontext_read(span_of(text), &err);
    json_auto_t *refused = jsontext_read(span_of("[1,5e,1]"), &err);
    assert_true(json_real_value(json_array_get(value, 0)) == 1.5);
    assert_null(refused);
    assert_int_equal(jsontext_write(value, &out, NULL), 0);
    assert_true(span_equals(buf_span(&out), text));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(uses_the_point_in_any_locale, make_place, remove_place),
    };

    return cmocka_run_group_tests_name("rpc/jsontext_locale", tests, NULL, NULL);
}
