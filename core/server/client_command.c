/* `theseus client NAME`: what a person puts into a host's configuration, with the paths of this binary and
 * configuration. */
#include <string.h>

#include "server/clients.h" /* made by the Makefile from config/clients/ */
#include "server/commands.h"

static const struct { const char *name, *text; } clients[] = {CLIENT_TEXTS};

/* Prints `text` with @THESEUS@ and @CONFIG@ replaced. */
static void print_filled(const char *text, const char *program, const char *config) {
    const char *at;

    while ((at = strchr(text, '@'))) {
        const char *value = strncmp(at, "@THESEUS@", 9) == 0  ? program
                            : strncmp(at, "@CONFIG@", 8) == 0 ? config
                                                              : NULL;
        (void)fwrite(text, 1, (size_t)(at - text), stdout);
        (void)fputs(value ? value : "@", stdout);
        text = at + (value == program ? 9 : value ? 8 : 1);
    }
    (void)fputs(text, stdout);
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
