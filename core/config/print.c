#include "config/print.h"

#include <stdlib.h>
#include <string.h>

#include "config/option.h"

static const char ini_head[] =
    "; The configuration of Theseus. Every option stands here with its default: take the ';' away to change one.\n"
    ";\n"
    "; The file is read from the place that -c names, else $THESEUS_CONFIG, else ~/.config/theseus/theseus.ini, else\n"
    "; the system's theseus.ini. A saved change takes effect at once; a file with a mistake is refused as a whole,\n"
    "; by file and line, and the server goes on with what it has.\n"
    ";\n"
    "; ';' and '#' begin a comment as the first character of a line only. An indented line continues the value above\n"
    "; it. A key or a section may be given once. A relative path is relative to this file.\n";

static const char ini_sections[] =
    "\n"
    "; A plugin's own settings. The plugin says which keys it knows. A value env:NAME or file:PATH is a secret: it is\n"
    "; taken from the environment or from that file (which others may not read) when it is used, and never shown.\n"
    "; Keys that begin with a point are the server's: .call_timeout is how many seconds calls of its tools may take;\n"
    ";\n"
    "; .isolation = process keeps the plugin in a process of its own, in\n"
    "; which it may do little; .memory limits that process (bytes of address space, 512M unless it is said otherwise).\n"
    ";\n"
    ";[plugin:weather]\n"
    ";units = metric\n"
    ";api_key = file:weather.key\n"
    ";.call_timeout = 20\n"
    ";.isolation = process\n"
    ";.memory = 256M\n"
    "\n"
    "; A tool without C: a command that becomes a tool. {path} is one argument, never more; there is no shell. Sections\n"
    "; like this one may also stand in *.ini files in a plugin directory.\n"
    ";\n"
    ";[tool:disk_usage]\n"
    ";description = Use this to find out how much space a directory takes.\n"
    ";command = du -sh -- {path}\n"
    ";input.path = string: the directory\n"
    ";timeout = 30\n"
    ";read_only = yes\n";

/* Visits every option; `section` is called before the first of each section. */
static void each(FILE *to, void (*section)(FILE *to, const char *name),
                 void (*row)(FILE *to, const struct option_def *option)) {
    const char *before = NULL;

    for (const struct option_def *option = option_table; option < option_table + option_count; option++) {
        if (section && (!before || strcmp(before, option->section) != 0))
            section(to, option->section);
        before = option->section;
        row(to, option);
    }
}

static void ini_section(FILE *to, const char *name) {
    (void)fprintf(to, "\n[%s]\n", name);
}

static void ini_row(FILE *to, const struct option_def *option) {
    CLEANUP(free) char *syntax = option_syntax(option);
    const char *line = option->text;
    size_t len = strcspn(line, "\n");

    (void)fprintf(to, "; %s (%s)\n;%s =%s%.*s\n", option->help, syntax, option->key, len ? " " : "", (int)len, line);
    for (line += len; *line; line += len) {
        line++;
        len = strcspn(line, "\n");
        (void)fprintf(to, ";    %.*s\n", (int)len, line);
    }
}

void config_print_ini(FILE *to) {
    (void)fputs(ini_head, to);
    each(to, ini_section, ini_row);
    (void)fputs(ini_sections, to);
}

/* A long default is named, not shown. */
static const char *short_default(const struct option_def *option) {
    return strchr(option->text, '\n') ? NULL : option->text;
}

/* No character that Markdown would take for more than itself. */
static void markdown_text(FILE *to, const char *text) {
    for (; *text; text++) {
        if (strchr("*|<\\", *text))
            (void)fputc('\\', to);
        (void)fputc(*text, to);
    }
}

static void markdown_row(FILE *to, const struct option_def *option) {
    CLEANUP(free) char *syntax = option_syntax(option);
    const char *text = short_default(option);

    (void)fprintf(to, "| `%s.%s` | ", option->section, option->key);
    if (!text)
        (void)fputs("a text", to);
    else if (*text)
        (void)fprintf(to, "`%s`", text);
    (void)fputs(" | ", to);
    markdown_text(to, syntax);
    (void)fputs(" | ", to);
    markdown_text(to, option->help);
    (void)fprintf(to, " | %s |\n", option->change == OPT_IN_PLACE ? "at once" : "at the next start");
}

void config_print_markdown(FILE *to) {
    (void)fputs("| option | default | values | meaning | a change takes effect |\n|---|---|---|---|---|\n", to);
    each(to, NULL, markdown_row);
}

/* Hyphens and tildes that can be copied, and a backslash that is one. */
static void man_text(FILE *to, const char *text) {
    for (; *text; text++)
        if (*text == '-')
            (void)fputs("\\-", to);
        else if (*text == '\\')
            (void)fputs("\\e", to);
        else if (*text == '~')
            (void)fputs("\\(ti", to);
        else
            (void)fputc(*text, to);
}

static void man_row(FILE *to, const struct option_def *option) {
    CLEANUP(free) char *syntax = option_syntax(option);
    const char *text = short_default(option);

    (void)fprintf(to, ".TP\n\\fB%s.%s\\fR (", option->section, option->key);
    man_text(to, syntax);
    if (text && *text) {
        (void)fputs("; default ", to);
        man_text(to, text);
    }
    (void)fputs(")\n", to);
    man_text(to, option->help);
    (void)fputs(option->change == OPT_IN_PLACE ? ".\n" : ". A change leads to a re\\-exec.\n", to);
}

void config_print_man(FILE *to) {
    each(to, NULL, man_row);
}
