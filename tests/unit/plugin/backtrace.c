#include "test.h"

#include "plugin/backtrace.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

static __attribute__((noinline)) void where_it_was(void) {
    __asm__ volatile("nop; nop; nop; nop");
}

static void module_of(struct crash_note *note, const char *path, uint64_t base, uint64_t size) {
    struct crash_module *module = &note->modules[note->module_count++];

    module->base = base;
    module->end = base + size;
    (void)snprintf(module->path, sizeof(module->path), "%s", path);
}

/* Resolved: one line for each frame. Owned. */
static char *lines_of(const struct crash_note *note) {
    json_auto_t *errors = json_pack("[{s:o}]", "backtrace", backtrace_new(note));
    json_t *frame;
    char *text = xstrdup("");
    size_t i;

    log_set_level(LOG_ERROR + 1);
    backtrace_resolve(errors);
    json_array_foreach (json_object_get(json_array_get(errors, 0), "backtrace"), i, frame) {
        char *longer = xasprintf("%s%s\n", text, json_string_value(frame));
        free(text);
        text = longer;
    }
    return text;
}

static int note_base(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    *(uintptr_t *)arg = info->dlpi_addr;
    return 1;
}

static void names_function_and_offset(void **state) {
    struct crash_note *note = xcalloc(1, sizeof(*note));
    uintptr_t base = 0;

    (void)state;
    where_it_was();
    (void)dl_iterate_phdr(note_base, &base);
    module_of(note, "/proc/self/exe", base, UINT64_C(1) << 32);
    note->frames[0] = (uintptr_t)where_it_was + 2;
    note->frames[1] = (uintptr_t)where_it_was + 1; /* the call was before that: in the same function */
    note->frame_count = 2;
    CLEANUP(free) char *lines = lines_of(note);
    const unsigned long at = (uintptr_t)where_it_was - base;
    CLEANUP(free)
    char *expected = xasprintf("exe+0x%lx: where_it_was+0x2\nexe+0x%lx: where_it_was+0x0\n", at + 2, at);
    assert_string_equal(lines, expected);
    free(note);
}

static void says_what_it_can_where_there_are_no_symbols(void **state) {
    struct crash_note *note = xcalloc(1, sizeof(*note));

    (void)state;
    module_of(note, "/run/x/echo.3.0123456789abcdef0123456789abcdef.so", 0x10000, 0x1000);
    module_of(note, "/nowhere/lib.so.1", 0x20000, 0x1000);
    note->frames[0] = 0x10123;
    note->frames[1] = 0x21000; /* behind the call that is the last thing in its module */
    note->frames[2] = 0x30000;
    note->frame_count = 3;
    CLEANUP(free) char *lines = lines_of(note);
    assert_string_equal(lines, "echo.so+0x123\nlib.so.1+0xfff\n0x30000\n");
    free(note);
}

/* A note may be damaged, as everything that a crash has left. */
static void believes_no_count(void **state) {
    struct crash_note *note = xcalloc(1, sizeof(*note));

    (void)state;
    note->frame_count = note->module_count = UINT32_MAX;
    note->frames[0] = 0;
    note->frames[1] = 7;
    note->frames[3] = 9;
    CLEANUP(free) char *lines = lines_of(note);
    assert_string_equal(lines, "0x0\n0x7\n"); /* the way ends where it leads nowhere */
    free(note);
}

static void is_harmless_twice(void **state) {
    json_auto_t *errors = json_pack("[{s:[s]}, {}]", "backtrace", "echo.so+0x1");
    json_auto_t *before = json_deep_copy(errors);

    (void)state;
    log_set_level(LOG_ERROR + 1);
    backtrace_resolve(errors);
    backtrace_resolve(NULL);
    assert_true(json_equal(before, errors));
}

static void calls_a_private_copy_by_the_name_of_its_file(void **state) {
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"/a/echo.3.0123456789abcdef0123456789abcdef.so", "echo.so"},
        {"/a/my.tool.12.0123456789abcdef0123456789abcdef.2.so", "my.tool.so"},
        {"/usr/lib/libc.so.6", "libc.so.6"},
        {"echo.so", "echo.so"},
        {"/a/echo.3.0123.so", "echo.3.0123.so"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(free) char *name = backtrace_module_name(cases[i].path);
        assert_string_equal(name, cases[i].name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_function_and_offset),
        cmocka_unit_test(says_what_it_can_where_there_are_no_symbols),
        cmocka_unit_test(believes_no_count),
        cmocka_unit_test(is_harmless_twice),
        cmocka_unit_test(calls_a_private_copy_by_the_name_of_its_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
