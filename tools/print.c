/* Prints the option table as text for people: print ini | markdown | man. */
#include "config/print.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*print)(FILE *to);
} forms[] = {
    {"ini", config_print_ini},
    {"markdown", config_print_markdown},
    {"man", config_print_man},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc == 2 && i < sizeof(forms) / sizeof(*forms); i++) {
        if (strcmp(argv[1], forms[i].name) == 0) {
            forms[i].print(stdout);
            return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
        }
    }
    (void)fputs("usage: print ini|markdown|man\n", stderr);
    return 2;
}
