#define PCRE2_CODE_UNIT_WIDTH 8

#include "rpc/schema_pattern.h"

#include <stdlib.h>

#include <pcre2.h>

#include "base/library.h"

/*
 * A match that backtracks a lot is a trap more often than not, and PCRE2 does not say how much it did. So each match
 * is tried on a short leash first and costs little; only one that needs more gets the long leash, and is charged for
 * it.
 */
enum {
    QUICK_MATCH_LIMIT = 5000,
    LONG_MATCH_LIMIT = 1000000,
    QUICK_STEPS = 10,
    LONG_STEPS = 20000,
    BYTES_PER_STEP = 64,
    MATCH_HEAP_KIB = 64 << 10,
};

#define PCRE2_FUNCTIONS(X)               \
    X(pcre2_compile_8)                   \
    X(pcre2_compile_context_create_8)    \
    X(pcre2_compile_context_free_8)      \
    X(pcre2_set_compile_extra_options_8) \
    X(pcre2_code_free_8)                 \
    X(pcre2_get_error_message_8)         \
    X(pcre2_match_8)                     \
    X(pcre2_match_context_create_8)      \
    X(pcre2_match_context_free_8)        \
    X(pcre2_match_data_create_8)         \
    X(pcre2_match_data_free_8)           \
    X(pcre2_set_match_limit_8)           \
    X(pcre2_set_depth_limit_8)           \
    X(pcre2_set_heap_limit_8)

_Static_assert(sizeof(SONAME_PCRE2) > 1, "the Makefile did not find this library");

/* Opened when the first expression is compiled. */
static struct { PCRE2_FUNCTIONS(LIBRARY_FIELD) } pcre2;

static int open_library(struct theseus_error *err) {
    static const char *const names[] = {PCRE2_FUNCTIONS(LIBRARY_NAME) NULL};
    static struct library library = LIBRARY_INIT(SONAME_PCRE2, names, &pcre2);

    return library_open(&library, err);
}

struct pattern {
    pcre2_code *code; /* owned, as are the contexts; read only once they are made */
    pcre2_match_context *quick;
    pcre2_match_context *patient;
};

static pcre2_match_context *context_new(uint32_t match_limit) {
    pcre2_match_context *context = pcre2.pcre2_match_context_create_8(NULL);

    if (!context)
        abort();
    (void)pcre2.pcre2_set_match_limit_8(context, match_limit);
    (void)pcre2.pcre2_set_depth_limit_8(context, match_limit);
    (void)pcre2.pcre2_set_heap_limit_8(context, MATCH_HEAP_KIB);
    return context;
}

static pcre2_code *compile(struct span text, struct theseus_error *err) {
    const uint32_t options = PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF |
                             PCRE2_ALLOW_EMPTY_CLASS | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2.pcre2_compile_context_create_8(NULL);
    PCRE2_SIZE offset = 0;
    int code = 0;

    if (!context)
        abort();
    (void)pcre2.pcre2_set_compile_extra_options_8(context, PCRE2_EXTRA_ALT_BSUX);
    pcre2_code *compiled = pcre2.pcre2_compile_8((PCRE2_SPTR)text.data, text.len, options, &code, &offset, context);
    pcre2.pcre2_compile_context_free_8(context);
    if (!compiled) {
        char reason[120] = "";
        (void)pcre2.pcre2_get_error_message_8(code, (PCRE2_UCHAR *)reason, sizeof(reason));
        (void)fail(err, ERR_INVALID, "%s", reason);
    }
    return compiled;
}

int pattern_new(struct pattern **ret_pattern, struct span text, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf translated = {0};

    if (pattern_translate(text, &translated, err) < 0 || open_library(err) < 0)
        return -1;
    CLEANUP(pattern_free) struct pattern *pattern = xcalloc(1, sizeof(*pattern)); /* freed by the library, if at all */
    struct span words = translated.len ? buf_span(&translated) : span_of("");
    pattern->code = compile(words, err);
    if (!pattern->code)
        return -1;
    pattern->quick = context_new(QUICK_MATCH_LIMIT);
    pattern->patient = context_new(LONG_MATCH_LIMIT);
    *ret_pattern = TAKE_PTR(pattern);
    return 0;
}

struct pattern *pattern_free(struct pattern *pattern) {
    if (!pattern)
        return NULL;
    pcre2.pcre2_code_free_8(pattern->code);
    pcre2.pcre2_match_context_free_8(pattern->quick);
    pcre2.pcre2_match_context_free_8(pattern->patient);
    free(pattern);
    return NULL;
}

static bool ran_out(int code) {
    return code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_DEPTHLIMIT || code == PCRE2_ERROR_HEAPLIMIT;
}

static int run(const struct pattern *pattern, struct pattern_work *work, struct span text, pcre2_match_context *leash) {
    return pcre2.pcre2_match_8(pattern->code, (PCRE2_SPTR)(text.data ? text.data : ""), text.len, 0, 0, work->data,
                               leash);
}

int pattern_match(const struct pattern *pattern, struct pattern_work *work, struct span text,
                  struct theseus_error *err) {
    if (!work->data && !(work->data = pcre2.pcre2_match_data_create_8(1, NULL)))
        return fail(err, ERR_MEMORY, "no memory to match a regular expression");
    (void)effort_take(work->effort, QUICK_STEPS + text.len / BYTES_PER_STEP);
    int code = run(pattern, work, text, pattern->quick);
    if (ran_out(code) && effort_take(work->effort, LONG_STEPS))
        code = run(pattern, work, text, pattern->patient);
    if (code >= 0)
        return 0;
    if (code == PCRE2_ERROR_NOMATCH)
        return PATTERN_MISS;
    if (code == PCRE2_ERROR_NOMEMORY)
        return fail(err, ERR_MEMORY, "no memory to match a regular expression");
    if (ran_out(code))
        return fail(err, ERR_LIMIT, "matching a string of %zu bytes takes too many steps", text.len);
    char reason[120] = "";
    (void)pcre2.pcre2_get_error_message_8(code, (PCRE2_UCHAR *)reason, sizeof(reason));
    return fail(err, ERR_INVALID, "a string of %zu bytes cannot be matched: %s", text.len, reason);
}

void pattern_work_fini(struct pattern_work *work) {
    pcre2.pcre2_match_data_free_8(work->data);
    work->data = NULL;
}
