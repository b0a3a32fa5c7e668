/* What surrounds a program: its variables, and the file that its name means under them. */
#pragma once

#include "section.h"

/* PATH, HOME and LANG of the server, and what the section adds or replaces; nothing else. */
void environment_make(const struct section *section, struct strings *environment);

/*
 * The file that `name` means, seen from `directory` (NULL: the server's) with the PATH among `environment`. Owned text
 * in *ret_file; 0, or -1 with what to do about it.
 */
int environment_find(const struct strings *environment, const char *directory, const char *name, char **ret_file,
                     struct theseus_error *err);
