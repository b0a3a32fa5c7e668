/* The option table as text for people. Errors of the stream are the caller's to ask for (ferror). */
#pragma once

#include <stdio.h>

void config_print_ini(FILE *to);      /* config/theseus.ini: everything commented out, with its default */
void config_print_markdown(FILE *to); /* a table */
void config_print_man(FILE *to);      /* the body of a manual page's OPTIONS section */
