/* What is wrong with the tasks of a session, a project or a tree, found and (where it is wanted) mended. */
#pragma once

#include "work.h"

enum scan_scope { SCAN_SESSION, SCAN_PROJECT, SCAN_TREE };
enum scan_level { SCAN_BASIC, SCAN_COMPREHENSIVE, SCAN_FULL };

struct scan {
    struct work *work;
    enum scan_scope scope;
    enum scan_level level;
    int64_t id; /* of the session, or of the task at the root of the tree */
    bool mends;
    size_t max;       /* problems that are noted; 0: some hundred */
    json_t *problems; /* owned: [{kind, task_id?, text, mended}] */
    int64_t found, mended;
};

int scan_run(struct scan *scan); /* 0 or -1 */

/* Notes a problem; `task_id` may be NULL. 0 or -1. */
int scan_note(struct scan *scan, const char *kind, const char *task_id, bool mended, const char *format, ...)
    THESEUS_PRINTF_LIKE(5, 6);
/* "SELECT … FROM tasks t … WHERE " with the condition for the scope (?1 is `id`) and `more` behind it. */
void scan_print_sql(const struct scan *scan, struct text *sql, const char *select, const char *more);

int scan_circles(struct scan *scan);   /* circle.c */
int scan_artifacts(struct scan *scan); /* scan_files.c */
int scan_strays(struct scan *scan);    /* scan_files.c: files that no row names */
