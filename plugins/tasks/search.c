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

/* In two groups: what is a part of a word that is as long as a sentence, and what is no part of any. */
static const struct range {
    uint32_t from, to;
} scripts[] = {{0x0E00, 0x0EFF}, {0x1000, 0x109F}, {0x1780, 0x17FF},   {0x2E80, 0xA4CF},
               {0xF900, 0xFAFF}, {0xFF00, 0xFFEF}, {0x20000, 0x3FFFF}, {0, 0}},
  signs[] = {{0x2000, 0x2BFF}, {0xFE00, 0xFE0F}, {0x1F000, 0x1FAFF}, {0xE0000, 0xE007F}, {0, 0}};

static bool is_in(const struct range *range, uint32_t c) {
    while (range->to && (c < range->from || c > range->to))
        range++;
    return range->to;
}

/* The character at `text`, which is UTF-8, and its length. */
static uint32_t character_at(const char *text, size_t *ret_len) {
    const unsigned char *at = (const unsigned char *)text;

    *ret_len = at[0] < 0x80 ? 1 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    uint32_t c = *ret_len == 1 ? at[0] : at[0] & (0x7Fu >> *ret_len);
    for (size_t i = 1; i < *ret_len; i++)
        c = c << 6 | (at[i] & 0x3F);
    return c;
}

/* Whatever has a letter of such a script in it, or nothing but signs. */
static bool is_piece(const char *term, size_t len) {
    bool has_word = false;

    for (size_t at = 0, size; at < len; at += size) {
        uint32_t c = character_at(term + at, &size);
        if (is_in(scripts, c))
            return true;
        has_word = has_word ||
                   (c >= 0x80 ? !is_in(signs, c) : (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'));
    }
    return !has_word;
}

static void add_word(struct text *terms, json_t *pieces, const char *word, size_t len) {
    if (!is_piece(word, len))
        add_term(terms, word, len);
    else if (json_array_append_new(pieces, json_stringn(word, len > 1 && word[len - 1] == '*' ? len - 1 : len)) < 0)
        terms->failed = true;
}

void search_expression(struct text *into, json_t *pieces, const char *typed, int64_t session) {
    static const char blanks[] = " \t\r\n";
    CLEANUP(text_fini) struct text terms = {0};

    for (typed += strspn(typed, blanks); *typed; typed += strspn(typed, blanks)) {
        bool is_quoted = *typed == '"' && strchr(typed + 1, '"');
        typed += is_quoted;
        size_t len = strcspn(typed, is_quoted ? "\"" : blanks);
        if (len > 0)
            add_word(&terms, pieces, typed, len);
        typed += len + is_quoted;
    }
    if (!terms.len && json_array_size(pieces) == 0)
        add_term(&terms, " ", 1);
    if (terms.len)
        text_print(into, "{title description} : (%s)", terms.data);
    if (terms.len && session)
        text_print(into, " AND session : \"%" PRId64 "\"", session);
    into->failed = into->failed || terms.failed;
}
