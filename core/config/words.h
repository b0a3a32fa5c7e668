/* NULL-terminated lists of strings. */
#pragma once

#include <stdbool.h>

/* The pieces of `text` between any of the separators; empty pieces are left out. */
char **words_split(const char *text, const char *separators);
void words_add(char ***words, char *word); /* steals `word`; the list may be NULL before */
char **words_copy(char *const *words);     /* NULL: none */
bool words_same(char *const *a, char *const *b);
char **words_free(char **words);
