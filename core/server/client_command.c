/* `theseus client NAME`: what a person puts into a host's configuration, with the paths of this binary and
 * configuration. */
#include <string.h>

#include "server/clients.h" /* made by the Makefile from config/clients/ */
#include "server/commands.h"

static const struct { const char *name, *text; } clients[] = {CLIENT_TEXTS};

/* One byte of a path as it must be written inside of these quotation marks: of JSON ("), of a shell ('). */
static void print_byte(char byte, char quote) {
    if (quote == '\'' && byte == '\'')
        (void)fputs("'\\''", stdout);
    else if (quote == '"' && (byte == '"' || byte == '\\'))
        (void)printf("\\%c", byte);
    else if (quote == '"' && (unsigned char)byte < ' ')
        (void)printf("\\u%04x", (unsigned)byte);
    else
        (void)putchar(byte);
}

/* Prints `text` with @THESEUS@ and @CONFIG@ replaced; the character before each says how it is quoted. */
static void print_filled(const char *text, const char *program, const char *config) {
    char quote = '\0';

    while (*text) {
        const char *value = strncmp(text, "@THESEUS@", 9) == 0  ? program
                            : strncmp(text, "@CONFIG@", 8) == 0 ? config
                                                                : NULL;
        if (value) {
            for (const char *byte = value; *byte; byte++)
                print_byte(*byte, quote);
            text = strchr(text + 1, '@') + 1;
        } else {
            quote = *text++;
            (void)putchar(quote);
        }
    }
}

int command_client(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(config_free) struct config *config = NULL;
    struct theseus_error err = {0};

    if (config_load(&config, source, NULL, NULL, &err) < 0) {
        (void)fprintf(stderr, "theseus: %s\n", err.message);
        return 1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
        if (strcmp(clients[i].name, args->rest[0]) != 0)
            continue;
        print_filled(clients[i].text, program, config->file);
        return 0;
    }
    (void)fprintf(stderr, "theseus: unknown host '%s'; there are", args->rest[0]);
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        (void)fprintf(stderr, "%s %s", i ? "," : "", clients[i].name);
    (void)fputs("\n", stderr);
    return 1;
}
