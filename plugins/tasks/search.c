#include "search.h"

#include <inttypes.h>
#include <string.h>

#include "sql.h"

int search_update(struct work *work) {
    int64_t some = 0;

    if (sql_number(work, 0, &some, "SELECT 1 FROM task_unindexed LIMIT 1", "") < 0)
        return -1;
    if (!some)
        return 0;
    if (sql_run(work,
                "INSERT INTO tasks_search (tasks_search, rowid, title, description, session) "
                "SELECT 'delete', task, title, description, session FROM task_unindexed WHERE title IS NOT NULL",
                "") < 0 ||
        sql_run(work,
                "INSERT INTO tasks_search (rowid, title, description, session) "
                "SELECT t.id, t.title, t.description, t.session FROM task_unindexed u JOIN tasks t ON t.id = u.task",
                "") < 0)
        return -1;
    return sql_run(work, "DELETE FROM task_unindexed", "");
}

/* One word or phrase as a string of FTS5, in which nothing is special. */
static void add_term(struct text *into, const char *term, size_t len) {
    bool is_beginning = len > 1 && term[len - 1] == '*';

    if (into->len)
        text_print(into, " AND ");
    text_add(into, "\"", 1);
    for (size_t i = 0; i < len - is_beginning; i++)
        text_add(into, term[i] == '"' ? " " : term + i, 1);
    text_print(into, is_beginning ? "\" *" : "\"");
}

void search_expression(struct text *into, const char *typed, int64_t session) {
    static const char blanks[] = " \t\r\n";
    CLEANUP(text_fini) struct text terms = {0};

    for (typed += strspn(typed, blanks); *typed; typed += strspn(typed, blanks)) {
        bool is_quoted = *typed == '"' && strchr(typed + 1, '"');
        typed += is_quoted;
        size_t len = strcspn(typed, is_quoted ? "\"" : blanks);
        if (len > 0)
            add_term(&terms, typed, len);
        typed += len + is_quoted;
    }
    if (!terms.len)
        add_term(&terms, " ", 1);
    text_print(into, "{title description} : (%s)", terms.data ? terms.data : "\"\"");
    if (session)
        text_print(into, " AND session : \"%" PRId64 "\"", session);
    into->failed = into->failed || terms.failed;
}
