#include "config/document.h"

#include <stdint.h>
#include <stdlib.h>

#include <ini.h>

#include "base/buf.h"
#include "base/map.h"
#include "config/array.h"
#include "config/lines.h"

enum where { BEFORE_SECTIONS, IN_SECTION, IN_BAD_SECTION };

struct value {
    char *text; /* owned until the handler takes it */
    int line;
};

/* The stream that inih reads, and what its numbers stand for. */
struct reader {
    struct document *document;
    struct problems *problems;
    struct lines lines;
    struct value *values; /* owned */
    size_t value_count;
    struct map *seen; /* "SECTION" and "SECTION\nKEY" to the line, as a number */
    enum where where;
    bool value_refused; /* the lines that continue it are passed over */
};

bool document_is_name(struct span text, const char *also) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!plain && (c == '\0' || !strchr(also, c)))
            return false;
    }
    return text.len > 0;
}

/* The line at which the name was seen before; 0: never, and it is noted now. */
static int seen_before(struct reader *reader, const char *name, int line) {
    int before = (int)(intptr_t)map_get(reader->seen, span_of(name));

    if (before == 0)
        (void)map_put(reader->seen, span_of(name), (void *)(intptr_t)line);
    return before;
}

static void refuse(struct reader *reader, const struct line *line, const char *text) {
    problems_add(reader->problems, reader->document->file, line->number, "%s", text);
    if (line->kind == LINE_SECTION)
        reader->where = IN_BAD_SECTION; /* what its keys would be measured by is unknown */
    reader->value_refused = true;
}

static void add_section(struct reader *reader, struct span name, int line) {
    struct document *document = reader->document;

    document->sections = array_room(document->sections, document->count, sizeof(*document->sections));
    struct document_section *section = &document->sections[document->count++];
    *section = (struct document_section){.name = xstrndup(name.data, name.len), .line = line};
    int before = seen_before(reader, section->name, line);
    if (before > 0)
        problems_add(reader->problems, document->file, line, "[%s] is given twice; the first is in line %d",
                     section->name, before);
    reader->where = IN_SECTION;
    reader->value_refused = false;
}

static bool take_section(struct reader *reader, const struct line *line) {
    struct span text = line->text;

    if (text.data[text.len - 1] != ']') {
        refuse(reader, line,
               memchr(text.data, ']', text.len) ? "nothing may follow the ']' of a section"
                                                : "the ']' of the section is missing");
        return false;
    }
    struct span name = {text.data + 1, text.len - 2};
    if (name.len > DOCUMENT_SECTION_BYTES) {
        CLEANUP(free)
        char *why = xasprintf("the section's name has %zu bytes; at most %d are allowed", name.len,
                              (int)DOCUMENT_SECTION_BYTES);
        refuse(reader, line, why);
        return false;
    }
    if (name.len == 0 || memchr(name.data, ']', name.len) || memchr(name.data, '[', name.len)) {
        refuse(reader, line, "a section is written as [name]");
        return false;
    }
    add_section(reader, name, line->number);
    return true;
}

/* The value with the lines that continue it. */
static char *whole_value(struct reader *reader, struct span first) {
    CLEANUP(buf_fini) struct buf value = {0};
    int r = buf_append(&value, span_trim(first), NULL);

    for (;;) {
        enum line_kind kind = lines_peek(&reader->lines);
        if (kind != LINE_MORE && kind != LINE_NOTHING && kind != LINE_BAD)
            break;
        struct line line = lines_next(&reader->lines);
        if (kind != LINE_MORE)
            continue;
        if (value.len > 0)
            r |= buf_append(&value, span_of("\n"), NULL);
        r |= buf_append(&value, line.text, NULL);
    }
    return r == 0 ? buf_take_string(&value) : NULL;
}

/* What is wrong with the key; NULL: nothing. The line itself is not quoted: it may hold a secret. */
static const char *key_fault(const struct reader *reader, struct span key, bool has_value) {
    if (!has_value)
        return "neither '[section]' nor 'key = value'";
    if (key.len == 0)
        return "no key before the '='";
    if (key.len > DOCUMENT_KEY_BYTES)
        return "the key is longer than 128 bytes";
    if (!document_is_name(key, "."))
        return "a key consists of A-Z a-z 0-9 _ - and points";
    return reader->where == BEFORE_SECTIONS ? "a key before the first [section]" : NULL;
}

static bool take_entry(struct reader *reader, const struct line *line, struct span *ret_key) {
    const char *equals = memchr(line->text.data, '=', line->text.len);
    struct span key = line->text;

    if (equals)
        key.len = (size_t)(equals - key.data);
    key = span_trim(key);
    const char *fault = key_fault(reader, key, equals != NULL);
    if (fault) {
        refuse(reader, line, fault);
        return false;
    }
    reader->value_refused = false;
    struct span value = {equals + 1, (size_t)(line->text.data + line->text.len - equals - 1)};
    char *text = whole_value(reader, value);
    if (!text)
        refuse(reader, line, "no memory for the value");
    if (!text || reader->where == IN_BAD_SECTION) {
        free(text);
        return false;
    }
    reader->values = array_room(reader->values, reader->value_count, sizeof(*reader->values));
    reader->values[reader->value_count++] = (struct value){text, line->number};
    *ret_key = key;
    return true;
}

/* inih's fgets(): the next section or key as a line that it can read without cutting. */
static char *next_short_line(char *line_buffer, int size, void *arg) {
    struct reader *reader = arg;
    struct span key;

    for (;;) {
        struct line line = lines_next(&reader->lines);
        if (line.kind == LINE_END)
            return NULL;
        if (line.kind == LINE_BAD)
            reader->value_refused = true;
        if (line.kind == LINE_MORE && !reader->value_refused)
            refuse(reader, &line, "an indented line continues a value, and there is none before it");
        if (line.kind == LINE_SECTION && take_section(reader, &line)) {
            (void)snprintf(line_buffer, (size_t)size, "[%zu]\n", reader->document->count - 1);
            return line_buffer;
        }
        if (line.kind == LINE_ENTRY && take_entry(reader, &line, &key)) {
            (void)snprintf(line_buffer, (size_t)size, "%.*s=%zu\n", (int)key.len, key.data, reader->value_count - 1);
            return line_buffer;
        }
    }
}

/* inih's handler. */
static int on_entry(void *arg, const char *section_number, const char *key, const char *value_number) {
    struct reader *reader = arg;
    struct document_section *section = &reader->document->sections[strtoul(section_number, NULL, 10)];
    struct value *value = &reader->values[strtoul(value_number, NULL, 10)];
    CLEANUP(free) char *name = xasprintf("%s\n%s", section_number, key);
    int before = seen_before(reader, name, value->line);

    if (before > 0) {
        problems_add(reader->problems, reader->document->file, value->line,
                     "key '%s' is given twice in [%s]; the first is in line %d", key, section->name, before);
        return 1;
    }
    section->entries = array_room(section->entries, section->count, sizeof(*section->entries));
    section->entries[section->count++] =
        (struct document_entry){.key = xstrdup(key), .value = TAKE_PTR(value->text), .line = value->line};
    return 1;
}

struct document *document_new(const char *file, struct span text, struct problems *problems) {
    struct document *document = xcalloc(1, sizeof(*document));
    struct reader reader = {.document = document, .problems = problems, .seen = map_new()};

    document->file = xstrdup(file);
    lines_init(&reader.lines, document->file, text, problems);
    if (ini_parse_stream(next_short_line, &reader, on_entry, &reader) != 0)
        problems_add(problems, file, 0, "'%s' cannot be taken apart", file); /* inih had no memory */
    for (size_t i = 0; i < reader.value_count; i++)
        free(reader.values[i].text);
    free(reader.values);
    (void)map_free(reader.seen);
    return document;
}

static void section_fini(struct document_section *section) {
    for (size_t i = 0; i < section->count; i++) {
        free(section->entries[i].key);
        free(section->entries[i].value);
    }
    free(section->entries);
    free(section->name);
}

struct document *document_free(struct document *document) {
    if (!document)
        return NULL;
    for (size_t i = 0; i < document->count; i++)
        section_fini(&document->sections[i]);
    free(document->sections);
    free(document->file);
    free(document);
    return NULL;
}
