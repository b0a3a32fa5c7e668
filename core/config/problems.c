#include "config/problems.h"

#include <limits.h>
#include <stdlib.h>

#include "config/array.h"

void problems_fini(struct problems *problems) {
    for (size_t i = 0; i < problems->count; i++) {
        free(problems->list[i].file);
        free(problems->list[i].text);
    }
    free(problems->list);
    *problems = (struct problems){0};
}

void problems_fini_cleanup(struct problems *problems) {
    problems_fini(problems);
}

/* Kept in the order of lines, those of no line behind them; of one line the earlier found first. */
static void insert(struct problems *problems, struct problem problem) {
    size_t at = problems->count;
    unsigned line = (unsigned)problem.line - 1; /* 0 becomes the largest */

    problems->list = array_room(problems->list, problems->count, sizeof(*problems->list));
    for (; at > 0 && (unsigned)problems->list[at - 1].line - 1 > line; at--)
        problems->list[at] = problems->list[at - 1];
    problems->list[at] = problem;
    problems->count++;
}

static void add(struct problems *problems, enum errc code, const char *file, int line, const char *text) {
    if (problems->count == PROBLEMS_MAX) {
        problems->dropped++;
        return;
    }
    insert(problems, (struct problem){.code = code,
                                      .file = xstrdup(file),
                                      .line = line,
                                      .text = xasprintf("%s%s", problems->context ? problems->context : "", text)});
}

void problems_add(struct problems *problems, const char *file, int line, const char *format, ...) {
    va_list args;

    va_start(args, format);
    CLEANUP(free) char *text = xvasprintf(format, args);
    va_end(args);
    add(problems, ERR_INVALID, file, line, text);
}

void problems_add_error(struct problems *problems, const char *file, int line, const struct theseus_error *error) {
    add(problems, (enum errc)error->code, file, line, error->message);
}

int problems_tell(struct problems *problems, config_problem_fn *tell, void *arg, struct theseus_error *err) {
    const struct problem *first = problems->list;

    if (problems->count == 0)
        return 0;
    for (const struct problem *problem = first; tell && problem < first + problems->count; problem++)
        tell(arg, problem->file, problem->line, problem->text);
    if (tell && problems->dropped > 0) {
        CLEANUP(free) char *more = xasprintf("'%s' has %zu more problems", first->file, problems->dropped);
        tell(arg, first->file, 0, more);
    }
    if (first->line == 0)
        return fail(err, first->code, "%s", first->text);
    return fail(err, first->code, "%s:%d: %s", first->file, first->line, first->text);
}
