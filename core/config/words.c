#include "config/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static size_t words_count(char *const *words) {
    size_t count = 0;

    while (words && words[count])
        count++;
    return count;
}

void words_add(char ***words, char *word) {
    size_t count = words_count(*words);

    *words = xreallocarray(*words, count + 2, sizeof(**words));
    (*words)[count] = word;
    (*words)[count + 1] = NULL;
}

char **words_split(const char *text, const char *separators) {
    char **words = xcalloc(strlen(text) / 2 + 2, sizeof(*words));
    size_t count = 0;

    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        size_t len = strcspn(text, separators);
        words[count++] = xstrndup(text, len);
        text += len;
    }
    return xreallocarray(words, count + 1, sizeof(*words));
}

char **words_copy(char *const *words) {
    size_t count = words_count(words);
    char **copy = xcalloc(count + 1, sizeof(*copy));

    for (size_t i = 0; i < count; i++)
        copy[i] = xstrdup(words[i]);
    return copy;
}

bool words_same(char *const *a, char *const *b) {
    while (*a && *b && strcmp(*a, *b) == 0)
        a++, b++;
    return !*a && !*b;
}

char **words_free(char **words) {
    for (char **word = words; word && *word; word++)
        free(*word);
    free(words);
    return NULL;
}
