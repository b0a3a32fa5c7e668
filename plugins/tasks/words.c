#include "words.h"

#include <string.h>

#include <jansson.h>

bool words_has(const char *words, const char *word) {
    json_t *list = json_loads(words, 0, NULL);
    const json_t *one;
    bool found = false;
    size_t i;

    json_array_foreach (list, i, one)
        found = found || strcmp(json_string_value(one), word) == 0;
    json_decref(list);
    return found;
}
