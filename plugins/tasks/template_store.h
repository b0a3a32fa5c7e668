/* Where templates are: the built-in ones in the plugin, the others in the database. */
#pragma once

#include "template.h"

enum { TEMPLATE_COUNT_MAX = 1000 };

struct template_entry {
    const char *template_id, *text;
};

extern const struct template_entry template_builtin[]; /* by name; ends with {0} */

const struct template_entry *template_builtin_find(const char *template_id); /* NULL: there is none */

/* By its name, and sound. New reference; NULL: `err`. */
json_t *template_get_new(struct work *work, const char *template_id);
/* 0, or -1: it is built in, or there (and may not be replaced), or there are too many. `ret_replaced`: it was there. */
int template_put(struct work *work, const char *template_id, const json_t *template, bool *ret_replaced);
int template_remove(struct work *work, const char *template_id); /* 0, or -1: it is built in, or not there */
