#include "config/lines.h"

#include <jansson.h>

#include "base/limits.h"

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\n';
}

struct span span_trim(struct span text) {
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    return text;
}

static bool is_utf8(struct span text) {
    json_auto_t *string = json_stringn(text.data, text.len); /* refuses what is not */

    return string != NULL;
}

static bool is_readable(const struct lines *lines, struct span text, int number) {
    if (text.len > LIMIT_CONFIG_LINE)
        problems_add(lines->problems, lines->file, number, "the line has %zu bytes; at most %d are allowed", text.len,
                     LIMIT_CONFIG_LINE);
    else if (memchr(text.data, '\0', text.len))
        problems_add(lines->problems, lines->file, number, "the line has a NUL byte");
    else if (!is_utf8(text))
        problems_add(lines->problems, lines->file, number, "the line is not UTF-8");
    else
        return true;
    return false;
}

static enum line_kind kind_of(const struct lines *lines, struct span text, int number) {
    if (!is_readable(lines, text, number))
        return LINE_BAD;
    if (span_trim(text).len == 0 || text.data[0] == ';' || text.data[0] == '#')
        return LINE_NOTHING;
    if (is_blank(text.data[0]))
        return LINE_MORE;
    return text.data[0] == '[' ? LINE_SECTION : LINE_ENTRY;
}

static struct line cut(struct lines *lines, int number) {
    struct span text = lines->rest;

    if (text.len == 0)
        return (struct line){.kind = LINE_END, .number = number};
    const char *end = memchr(text.data, '\n', text.len);
    size_t taken = end ? (size_t)(end - text.data) + 1 : text.len;
    lines->rest = (struct span){text.data + taken, text.len - taken};
    text.len = taken - (end ? 1 : 0);
    if (text.len > 0 && text.data[text.len - 1] == '\r')
        text.len--;
    return (struct line){.kind = kind_of(lines, text, number), .number = number, .text = span_trim(text)};
}

void lines_init(struct lines *lines, const char *file, struct span text, struct problems *problems) {
    if (text.len >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0) /* the mark that some editors put in front */
        text = (struct span){text.data + 3, text.len - 3};
    *lines = (struct lines){.file = file, .rest = text, .problems = problems};
    lines->ahead = cut(lines, 1);
}

struct line lines_next(struct lines *lines) {
    struct line line = lines->ahead;

    if (line.kind != LINE_END)
        lines->ahead = cut(lines, line.number + 1);
    return line;
}

enum line_kind lines_peek(const struct lines *lines) {
    return lines->ahead.kind;
}
